//! What goes out reads again, is a fixed point, and names no address but ours.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve::wire::addresses::find_addresses;
use portreeve::wire::sdp::{Host, Place, Sdp};
use std::net::{IpAddr, Ipv4Addr};

const US: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

fuzz_target!(|body: &[u8]| {
    let Ok(sdp) = Sdp::parse(body) else { return };
    assert!(sdp.addresses().all(|d| d.port != 0 && d.media < sdp.media().len()));
    let places = vec![Place::Anchor { port: 30_000 }; sdp.media().len()];
    let out = sdp.rewrite(US, &places);
    assert!(find_addresses(&out).all(|(_, ip)| ip == US || ip.is_unspecified()));
    let again = Sdp::parse(&out).expect("what was written reads again");
    assert_eq!(again.rewrite(US, &places), out);
    assert_eq!(again.media().len(), sdp.media().len());
    assert_eq!(again.is_held(), sdp.is_held());
    for d in again.addresses() {
        // No name: no c= line came in, and none is invented.
        assert!(d.host == US.into() || d.host == Host::Name(String::new()));
        assert!(d.port == 30_000 || d.port == 30_001);
    }
});
