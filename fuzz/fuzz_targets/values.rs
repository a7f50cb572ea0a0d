//! Single values (URI, name-addr, Via): what is written reads again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve::policy::Number;
use portreeve::policy::number::Plan;
use portreeve::wire::limits;
use portreeve::wire::sip::{Aor, CSeq, NameAddr, Uri, Via, is_of_another_realm};

fuzz_target!(|octets: &[u8]| {
    if let Some(uri) = Uri::parse(octets) {
        assert_eq!(Uri::parse(uri.to_string().as_bytes()), Some(uri));
    }
    if let Some(via) = Via::parse(octets) {
        assert_eq!(Via::parse(via.to_string().as_bytes()), Some(via));
    }
    if let Some(mut uri) = Uri::parse(octets) {
        let plan = Plan { outside_line: Some("9"), country: Some("+49"), ..Plan::default() };
        let number = Number::called(&uri, &plan);
        assert!(number.forms().count() <= Number::FORMS);
        assert!(number.forms().all(|f| f.len() <= 3 * octets.len() + 9));
        if uri.user.is_some() {
            uri.set_number(number.result());
            let text = uri.to_string();
            // Escapes can make it longer than a URI may be.
            assert!(text.len() > limits::URI || Uri::parse(text.as_bytes()) == Some(uri));
        }
    }
    if let Ok(text) = std::str::from_utf8(octets) {
        let aor = Aor::from(text.to_owned());
        assert_eq!(Aor::from(aor.to_string()), aor);
    }
    let ours = [b"Digest ".as_slice(), octets, b",realm=\"site\""].concat();
    assert!(!is_of_another_realm(&ours, "site"));
    let _ = is_of_another_realm(octets, "site");
    let _ = (NameAddr::parse(octets), CSeq::parse(octets));
});
