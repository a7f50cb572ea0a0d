use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

static USUAL: LazyLock<Vec<String>> = LazyLock::new(|| vec!["00".to_owned()]);

/// A file that says nothing of numbers.
static NONE: LazyLock<Plan<'static>> =
    LazyLock::new(|| Plan { international: &USUAL, ..Plan::default() });

fn uri(text: &str) -> Uri {
    let text = if text.contains(':') { text.to_owned() } else { format!("sip:{text}@pbx.example") };
    Uri::parse(text.as_bytes()).expect(&text)
}

fn emergency() -> Vec<String> {
    ["112", "911"].map(str::to_owned).to_vec()
}

/// 9 for an outside line, in Germany.
fn site(emergency: &[String]) -> Plan<'_> {
    Plan {
        outside_line: Some("9"),
        national_prefix: Some("0"),
        country: Some("+49"),
        emergency,
        ..*NONE
    }
}

#[test]
fn a_number_means_one_thing_and_goes_out_as_it_came() {
    for (given, want) in [
        ("%2B1900%20555%200100", "+19005550100"),
        ("+1-900-555.0100", "+19005550100"),
        ("0019005550100", "+19005550100"),
        ("00301234567", "+301234567"),
        ("(030)123", "030123"),
        ("55-1001", "551001"),
        ("10.20", "1020"),
        ("7042;phone-context=+4930", "7042"),
        ("*72%23", "*72#"),
        ("tel:+49-30-12", "+493012"),
        ("tel:7042;phone-context=+4930", "7042"),
        ("0012", "0012"),
        ("al%69ce", "alice"),
        ("j.smith", "j.smith"),
        ("alice;day=tuesday", "alice;day=tuesday"),
        ("a%40b", "a@b"),
        ("12%3B34", "12;34"),
        ("urn:service:sos.fire", "urn:service:sos.fire"),
        ("sip:pbx.example", ""),
    ] {
        let number = Number::called(&uri(given), &NONE);
        assert_eq!((number.result(), number.rewritten()), (want, None), "{given}");
        assert!(number.is_clear(), "{given}");
    }
}

#[test]
fn the_plan_takes_off_and_puts_before() {
    let known = emergency();
    let plan = site(&known);
    for (given, want, sent) in [
        ("90301234567", "+49301234567", Some("+49301234567")),
        ("9001900555010", "+1900555010", Some("+1900555010")),
        ("9102", "102", Some("102")),
        ("9", "9", None),
        ("0301234567", "+49301234567", Some("+49301234567")),
        ("030123", "030123", None),
        ("+4930-1", "+49301", None),
        ("alice", "alice", None),
        ("9alice", "9alice", None),
        // Who dials 911 means it, with an outside line before it or without.
        ("911", "911", None),
        ("9911", "911", Some("911")),
        ("9112", "112", Some("112")),
    ] {
        let number = Number::called(&uri(given), &plan);
        assert_eq!((number.result(), number.rewritten()), (want, sent), "{given}");
    }
    let line = Plan { outside_line: Some("0"), ..*NONE };
    let number = Number::called(&uri("0001900555"), &line);
    // The file gives no country: 00 stays 00 on the wire.
    assert_eq!((number.result(), number.rewritten()), ("+1900555", Some("001900555")));
    for (length, sent) in [(128, true), (129, false)] {
        let number = Number::called(&uri(&"9".repeat(length)), &plan);
        assert_eq!(number.rewritten().is_some(), sent, "{length}");
    }
    let caller = Number::calling(&uri("9102"), &plan);
    assert_eq!((caller.result(), caller.rewritten()), ("9102", None));
    let caller = Number::of_user("a;b%40c", &plan);
    assert_eq!(caller.result(), "a;b%40c", "a name is no text with escapes");
}

#[test]
fn a_number_has_every_form_that_a_reader_may_take_it_for() {
    let known = emergency();
    for (given, forms) in [
        ("102", &["102"][..]),
        ("9%31-02", &["9%31-02", "91-02", "9102", "102"]),
        ("55-1001", &["55-1001", "551001"]),
        ("01/90_5", &["01/90_5", "01905"]),
        ("9-00A", &["9-00A", "900A"]),
        ("%20(9)00x1", &["900x1"]),
        ("7042;phone-context=+4930", &["7042;phone-context=+4930", "+49307042", "7042"]),
        ("tel:7042;phone-context=%2B49-30", &["+49307042", "7042"]),
        ("7042;phone-context=pbx.example", &["7042;phone-context=pbx.example", "7042"]),
        ("sip:7042@h;phone-context=+1900", &["+19007042", "7042"]),
        ("1;rn=+1-900-555", &["1;rn=+1-900-555", "+1-900-555", "+1900555", "1"]),
        ("tel:+4930;rn=555;rn-context=+1900", &["555", "+1900555", "+4930"]),
        ("1;RN=+1900;rn=+1901", &["+1900", "+1901"]),
        ("+1900%3B5", &["+1900%3B5", "+1900;5", "+1900"]),
        ("9001900555010", &["9001900555010", "001900555010", "+1900555010"]),
        ("001900555010", &["001900555010", "+1900555010"]),
        // An outside line that somebody else takes off, and plus signs where a reader has them.
        ("++1900555", &["+1900555"]),
        ("9+1900555", &["+1900555", "91900555", "1900555"]),
        ("+1+900555", &["+1900555", "+900555"]),
        ("tel:++1900555", &["+1900555"]),
        ("+001900555", &["001900555", "+1900555"]),
        // What people write and do not dial.
        ("+49(0)190055", &["+490190055", "+49190055"]),
        ("+49%20(0)%20190-055", &["+49190055"]),
        ("9(0)190055", &["9190055", "190055"]),
        // Letters that no dialler sends.
        ("1p900w555", &["1900555"]),
        ("1/9_0~0!555", &["1900555"]),
        ("rn=1;rn=001900555", &["001900555", "+1900555"]),
        ("1;rn=9001900555", &["+1900555"]),
        // What a service code does with a number.
        ("*72001900555", &["001900555", "+1900555"]),
        ("*21*001900555%23", &["+1900555"]),
        ("**21*9001900555*11%23", &["+1900555"]),
        ("%2331%23+1900555", &["+1900555"]),
        ("*67+1900555", &["+1900555"]),
        ("*1211900555", &["1900555"]),
        ("*1001900555", &["+1900555"]),
        ("*1470001900555", &["+1900555"]),
        ("101*001900555%23", &["101", "001900555", "+1900555"]),
    ] {
        let number = Number::called(&uri(given), &site(&known));
        for form in forms {
            assert!(number.forms().any(|f| f == *form), "{given}: {form} of {number:?}");
        }
        assert_eq!(number.forms().last(), Some(number.result()));
    }
    for plain in ["102", "alice", "*72#", "*1234567"] {
        let plain = Uri::escape_user(plain);
        let plain = plain.as_str();
        let number = Number::called(&uri(plain), &NONE);
        let forms: Vec<&str> = number.forms().filter(|f| !f.contains('%')).collect();
        assert_eq!(forms.len(), 1, "{plain}: {forms:?}");
    }
    let name = Number::called(&uri("j.smith"), &NONE);
    assert!(name.forms().all(|f| f != "jsmith"), "another user");
}

/// Each is read as one number, whatever stands about it.
#[test]
fn a_number_is_read_among_signs_and_words() {
    let known = emergency();
    for around in [
        // Several destinations, a technology, an argument, a host, a quotation.
        "101&{}",
        "{}&101",
        "101|{}",
        "101,{}",
        "101/{}",
        "101%26{}",
        "101%7C{}",
        "101%2C{}",
        "101%2F{}",
        "101%3A{}",
        "101:{}",
        "101%3B{}",
        "101%40{}",
        "101=%22{}%22",
        "101&'{}'",
        "SIP%2F{}",
        "SIP/trunk9/{}",
        "101&SIP/trunk9/{},30",
        "Local/{}%40x&101",
        "%22{}%22",
        "tel:{}",
        "tel%3A{}",
        "sip%3A{}%40pbx.example",
        "user%40{}",
        "%7B9%7D{}",
        "%5B9%5D{}",
        "101%20{}",
        "101-{}",
        "101?{}",
        "a%5C{}",
        "101%5E{}",
        // Letters and words.
        "x{}",
        "t{}",
        "T{}",
        "ext.{}",
        "a-{}",
        "%20x%20{}",
        "trunk{}",
        "101x{}",
        "101ext{}",
        "J%C3%BCrgen{}",
        "9;x={}",
    ] {
        for number in ["001900555", "9001900555", "+1900555"] {
            let text = around.replace("{}", number);
            let number = Number::called(&uri(&format!("sip:{text}@pbx.example")), &site(&known));
            assert!(number.forms().any(|f| f == "+1900555"), "{text}: {number:?}");
            assert!(number.is_clear(), "{text}: {number:?}");
        }
    }
}

#[test]
fn digits_are_read_however_they_are_parted() {
    let known = emergency();
    for (given, form) in [
        ("1&118", "118"),
        ("sip:x1190055@pbx.example", "1190055"),
        ("a1b9c0d0e5f5", "190055"),
        ("sip:101&1/900/555&102@pbx.example", "1900555"),
        ("tel:+1;x=900;900", "+1900900"),
        ("sip:+1;x=900;900@pbx.example", "+1900900"),
        ("tel:+1;ext=900555", "+1900555"),
        ("sip:102;postd=pp001900555@pbx.example", "+1900555"),
        // A context that is no host, with no plus or with a prefix.
        ("sip:900555;phone-context=1@pbx.example", "+1900555"),
        ("sip:900555;phone-context=1@pbx.example", "1900555"),
        ("sip:900555;phone-context=001@pbx.example", "+1900555"),
        ("tel:555;phone-context=1-900", "+1900555"),
        // Letters of a keypad.
        ("+1WJJ555", "+1955555"),
        ("+1w00555", "+1900555"),
        ("001-900-jkl", "+1900555"),
        ("sip:101&+1w00555@pbx.example", "+1900555"),
        ("sip:WJJ555;phone-context=+1@pbx.example", "+1955555"),
        ("sip:w00555;phone-context=+1@pbx.example", "+100555"),
        ("sip:FLOWERS@pbx.example;user=phone", "3569377"),
        ("tel:FLOWERS", "3569377"),
        // No number of another country begins with 0, none of this one with its way abroad.
        ("sip:+00-1900555@pbx.example", "+1900555"),
        ("+49001900555", "+1900555"),
        ("00490019005550", "+19005550"),
    ] {
        let number = Number::called(&uri(given), &site(&known));
        assert!(number.forms().any(|f| f == form), "{given}: {form} of {number:?}");
        assert!(number.is_clear(), "{given}");
    }
}

#[test]
fn a_name_is_no_number() {
    assert_eq!(Uri::parse(b"sip:001900555"), None, "no number stands for a host");
    let known = emergency();
    let is_number = |f: &str| f.bytes().all(|b| b.is_ascii_digit() || b"+*#".contains(&b));
    for name in [
        "sip:alice@pbx.example",
        "sip:sales-2@pbx.example",
        "sip:room-1201@pbx.example",
        "sip:alice1900@pbx.example",
        "sip:j.smith@pbx.example",
        "sip:FLOWERS@pbx.example",
        "sip:alice;day=tuesday@pbx.example",
        "sip:alice;phone-context=pbx.example@pbx.example",
        "sip:pbx.example",
        "sip:10.17.0.1",
        "sip:10.17.0.1:5060;lr",
        "sip:[2001:db8::1]",
        "urn:service:sos",
    ] {
        let number = Number::called(&uri(name), &site(&known));
        let read: Vec<&str> = number.forms().filter(|f| is_number(f)).collect();
        assert!(read.is_empty() && number.is_clear(), "{name}: {number:?}");
    }
    // What may stand for a number in a name is no more than that.
    for (given, forms) in [
        ("sip:conf:12@pbx.example", &["12"][..]),
        ("conf%3A12", &["12"]),
        ("7042;phone-context=10.17.0.1", &["7042"]),
        ("102;isub=9", &["102", "1029"]),
        ("alice12345", &["12345"]),
    ] {
        let given =
            if given.contains("sip:") { given.to_owned() } else { format!("sip:{given}@h") };
        let number = Number::called(&uri(&given), &NONE);
        let mut read: Vec<&str> = number.forms().filter(|f| is_number(f)).collect();
        read.sort_unstable();
        assert_eq!(read, forms, "{given}");
    }
}

#[test]
fn the_short_way_for_plain_digits_reads_the_same() {
    let known = emergency();
    let american = ["00", "011", "0"].map(str::to_owned);
    let other = Plan { international: &american, country: Some("+1"), ..site(&known) };
    for digits in ["102", "112", "9112", "0301234567", "+4930", "9001900555", "0", "9", "+1", "99"]
    {
        for plan in [*NONE, site(&known), other] {
            same_both_ways(digits, &plan);
        }
    }
}

/// The same number, read as plain digits and as anything.
fn same_both_ways(digits: &str, plan: &Plan<'_>) {
    let uri = uri(&format!("sip:{digits}@pbx.example"));
    let [short, long] = [Number::called(&uri, plan), Number::of_anything(&uri, plan)];
    let sorted = |n: &Number| {
        let mut all: Vec<String> = n.forms().map(str::to_owned).collect();
        all.sort_unstable();
        all
    };
    assert_eq!(sorted(&short), sorted(&long), "{digits}");
    let told = |n: &Number| {
        let sent = n.rewritten().map(str::to_owned);
        (n.result().to_owned(), sent, n.is_clear(), n.is_emergency())
    };
    assert_eq!(told(&short), told(&long), "{digits}");
}

#[test]
fn a_name_made_to_have_too_many_numbers_cannot_be_judged() {
    for (user, clear) in [
        ("1/".repeat(60), false),
        ("12345x".repeat(60), false),
        ("1&2,3/4|5".to_owned(), true),
        ("x/".repeat(400), true),
        ("ab1/".repeat(100), true),
        (format!("x{}", "9".repeat(400)), true),
        // As a server names its own.
        ("a3f81c92-7b1d-4e0a-9c55-0d1e2f3a4b5c".to_owned(), true),
        ("gr=aB3/x9+Zk==/0QwErTy:7uI9oP2/LkJ".to_owned(), true),
    ] {
        let number = Number::called(&uri(&format!("sip:{user}@h")), &NONE);
        assert_eq!(number.is_clear(), clear, "{user}: {}", number.forms().count());
    }
    let site_ = site(&[]);
    let padded = format!("x9001900555{}", "0".repeat(300));
    let number = Number::called(&uri(&format!("sip:{padded}@h")), &site_);
    assert!(number.forms().any(|f| f.starts_with("+1900555")), "more than a plan reads");
}

#[test]
fn an_emergency_number_is_one_only_where_nothing_leads_elsewhere() {
    let known = emergency();
    for (given, is) in [
        ("112", true),
        ("1-1-2", true),
        ("%3112", true),
        ("9112", true),
        ("tel:112", true),
        ("112;phone-context=pbx.example", true),
        ("tel:911;phone-context=ims.example", true),
        ("tel:911;phone-context=+1", true),
        ("112;phone-context=%2B49", true),
        ("112;phone-context=49", true),
        ("112;phone-context=0049", true),
        ("112;phone-context=10.17.0.1", true),
        ("urn:service:sos", true),
        ("URN:Service:SOS.police", true),
        ("112;phone-context=+1900555", false),
        ("112;phone-context=%2b1900", false),
        ("112;phone-context=1900", false),
        ("112;phone-context=001-900", false),
        ("sip:112:+1900555@h", false),
        ("112&+1900555", false),
        ("112;phone-context=+49;phone-context=+1900", false),
        ("112;phone-context=+4x", false),
        ("112;rn=+19005550100", false),
        ("sip:112@h;rn=5", false),
        ("tel:112;rn=5", false),
        ("112%3Brn=5", false),
        ("1120", false),
        ("+112", false),
        ("urn:service:sosx", false),
        ("urn:service:counseling", false),
    ] {
        assert_eq!(Number::called(&uri(given), &site(&known)).is_emergency(), is, "{given}");
        let caller = Number::calling(&uri(given), &site(&known));
        assert_eq!(caller.is_emergency(), is && given.to_lowercase().starts_with("urn"), "{given}");
    }
}

#[test]
fn what_no_dial_plan_knows_is_noticed() {
    for strange in [
        "1900%00",
        "1%0A900",
        "1%7F",
        "1%C2%85",
        "1%E2%80%8B900",
        "1%C2%AD900",
        "1%C2%A0900",
        "%EF%BB%BF1900",
        "%EF%BC%911900",
        "%EF%BC%8B1900",
        "%D9%A1900",
        "1900%C2%B2",
        "1900%E2%80%91",
        "1900%F3%A0%80%B1",
        "1900%EF%B8%8F",
        "1900%FF",
        "1;x=%E2%80%8B",
        "%25311900",
        "1;rn=%252B1900",
    ] {
        assert!(!Number::called(&uri(strange), &NONE).is_clear(), "{strange}");
    }
    for clear in
        ["+1-900", "*72%23", "%201", "J%C3%BCrgen", "%EA%B9%80", "a%40b", "x;y=z", "%D0%96"]
    {
        assert!(Number::called(&uri(clear), &NONE).is_clear(), "{clear}");
    }
}

#[test]
fn international_prefixes_are_the_files() {
    let [usual, american] = [&["00"][..], &["00", "011", "0"]]
        .map(|all| all.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>());
    for (given, of_usual, of_american) in [
        ("0119005550100", "0119005550100", "+9005550100"),
        ("009005550100", "+9005550100", "+9005550100"),
        ("019005550100", "019005550100", "+19005550100"),
        ("011900", "011900", "011900"),
        ("000000", "000000", "000000"),
    ] {
        for (prefixes, want) in [(&usual, of_usual), (&american, of_american)] {
            let plan = Plan { international: prefixes, ..Plan::default() };
            let number = Number::called(&uri(given), &plan);
            assert_eq!((number.result(), number.rewritten()), (want, None), "{given}");
        }
    }
    let none = Number::called(&uri("009005550100"), &Plan::default());
    assert_eq!(none.result(), "009005550100");
    let country = Plan { international: &american, country: Some("+1"), ..Plan::default() };
    let number = Number::called(&uri("01144305550100"), &country);
    assert_eq!(number.rewritten(), Some("+44305550100"));
}

#[test]
fn a_number_made_to_have_too_many_forms_cannot_be_judged() {
    let long = "1".repeat(128);
    assert!(Number::called(&uri(&long), &NONE).is_clear());
    for user in [format!("{long}1"), format!("{long}/1"), format!("*{}1", "1*".repeat(200))] {
        let number = Number::called(&uri(&user), &NONE);
        assert!(!number.is_clear(), "{user}");
        assert!(number.forms().count() <= 128);
    }
    assert!(Number::called(&uri(&"a".repeat(400)), &NONE).is_clear(), "a name");
}

proptest! {
    #[test]
    fn digits_mean_the_same_both_ways(digits in "(\\+[1-9])?[0-9]{1,20}") {
        let known = emergency();
        same_both_ways(&digits, &site(&known));
        same_both_ways(&digits, &NONE);
    }

    #[test]
    fn what_was_judged_is_judged_the_same(user in "([0-9*#+.()-]|%[2-7][0-9A-F]|[a-z]){1,16}(;[a-z-]{1,4}=[+0-9]{1,5})?") {
        let uri = Uri::parse(format!("sip:{user}@h").as_bytes()).unwrap();
        let once = Number::called(&uri, &NONE);
        let again = Number::called(&Uri::sip(Some(&Uri::escape_user(once.result())), "h", None), &NONE);
        prop_assert_eq!(again.result(), once.result());
        let known = emergency();
        let plan = site(&known);
        let once = Number::called(&uri, &plan);
        // An outside line is dialled once.
        let again = Number::of_user(once.result(), &plan);
        prop_assert_eq!(again.result(), once.result());
        prop_assert_eq!(Number::called(&uri, &plan), once);
    }

    #[test]
    fn what_goes_out_anew_is_read_as_what_was_put_there(number in "\\PC{1,20}", rest in "(;[a-z]{1,3}=[a-z0-9]{1,3}){0,2}") {
        let mut uri = Uri::parse(format!("sip:1{rest}@h;user=phone").as_bytes()).unwrap();
        uri.set_number(&number);
        let again = Uri::parse(uri.to_string().as_bytes());
        prop_assert_eq!(again.as_ref(), Some(&uri));
        let (first, params) = uri.user.as_deref().unwrap().split_once(';').unwrap_or((uri.user.as_deref().unwrap(), ""));
        prop_assert_eq!(unescape(first), number);
        prop_assert_eq!(params, rest.strip_prefix(';').unwrap_or_default());
    }

    #[test]
    fn no_input_panics(user in "\\PC{0,40}", line in "[0-9*]{0,2}", country in "\\+?[0-9]{0,3}") {
        let plan = Plan { outside_line: Some(&line), national_prefix: Some(&line), country: Some(&country), emergency: &[], international: std::slice::from_ref(&line) };
        let number = Number::called(&Uri::sip(Some(&user), "h", None), &plan);
        prop_assert!(number.forms().count() <= 128);
        prop_assert!(number.forms().all(|f| f.len() <= 3 * user.len() + 8));
        let _ = Number::plain(&user);
    }
}
