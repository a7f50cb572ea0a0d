//! Credentials that are right, wrong, used up, old or another's.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn at(seconds: u64) -> Wall {
    Wall(Duration::from_secs(seconds))
}

fn gate() -> Authenticator {
    let users = Users::Shared { password: "tulip".into() };
    Authenticator::new("portreeve", users, [3; 32])
}

fn phone() -> Source {
    Source::of("10.0.0.7".parse().unwrap())
}

fn credentials(
    g: &mut Authenticator,
    algorithm: Algorithm,
    made: u64,
    nc: &str,
    password: &str,
) -> String {
    let nonce = g.nonces.make(made, phone(), false);
    let ha1 = algorithm.hex(&format!("101:portreeve:{password}"));
    let ha2 = algorithm.hex("REGISTER:sip:x");
    let response = algorithm.hex(&format!("{ha1}:{nonce}:{nc}:c:auth:{ha2}"));
    let name = if algorithm == Algorithm::Md5 { "MD5" } else { "SHA-256" };
    format!(
        "Digest username=\"101\",realm=\"portreeve\" , nonce=\"{nonce}\",uri=\"sip:x\", \
         response=\"{response}\", algorithm={name}, qop=auth, nc={nc}, cnonce=\"c\""
    )
}

fn check(g: &mut Authenticator, value: &str, now: u64) -> Check {
    let claim = g.claim([value.as_bytes()].into_iter(), phone());
    g.judge("REGISTER", claim, at(now))
}

#[test]
fn both_algorithms_prove_and_a_replay_does_not() {
    let mut g = gate();
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        let made = if algorithm == Algorithm::Md5 { 1000 } else { 1001 };
        let value = credentials(&mut g, algorithm, made, "00000001", "tulip");
        let proved = Check::Proved { user: "101".into(), uri: "sip:x".into() };
        assert_eq!(check(&mut g, &value, 1002), proved);
        assert_eq!(check(&mut g, &value, 1003), Check::Challenge { stale: true });
    }
}

#[test]
fn counts_may_overtake_each_other_and_none_comes_twice() {
    let mut g = gate();
    let mut ask = |nc: &str| {
        let value = credentials(&mut g, Algorithm::Md5, 1000, nc, "tulip");
        matches!(check(&mut g, &value, 1001), Check::Proved { .. })
    };
    let first: Vec<bool> =
        ["00000003", "00000001", "00000002", "00000001", "00000003"].map(&mut ask).into();
    assert_eq!(first, [true, true, true, false, false]);
    assert!(ask("00000041") && ask("00000040") && !ask("00000041"));
    assert!(ask("00000100") && !ask("000000c0"), "64 behind is too late");
    assert!(ask("000000c1"));
}

#[test]
fn a_count_that_is_missing_or_none_is_no_wrong_password() {
    let mut g = gate();
    let good = credentials(&mut g, Algorithm::Md5, 1000, "00000001", "tulip");
    for nc in ["", "1", "0000001", "000000001", "0000000g", "+0000001", "00000000"] {
        let value = good.replace("nc=00000001", &format!("nc={nc}"));
        assert_eq!(check(&mut g, &value, 1001), Check::Wrong(Fault::NonceCount), "{nc:?}");
    }
    for gone in [", nc=00000001", ", cnonce=\"c\""] {
        let value = good.replace(gone, "");
        assert_eq!(check(&mut g, &value, 1001), Check::Wrong(Fault::NonceCount), "{gone}");
    }
    assert_eq!(Fault::NonceCount.answer().0, 400);
    assert!(matches!(check(&mut g, &good, 1001), Check::Proved { .. }), "nothing was used up");
}

#[test]
fn a_stale_challenge_bears_another_nonce_within_the_same_second() {
    let mut g = gate();
    let all = [
        g.challenge(at(1), false, phone()),
        g.challenge(at(1), true, phone()),
        g.challenge(at(1), true, phone()),
    ];
    assert!(all[0] != all[1] && all[1] != all[2]);
    assert_eq!(all[0], g.challenge(at(1), false, phone()), "a flood of requests remembers nothing");
}

#[test]
fn what_is_wrong_is_told_apart() {
    let mut g = gate();
    let bad = credentials(&mut g, Algorithm::Md5, 1000, "00000001", "rose");
    assert_eq!(check(&mut g, &bad, 1001), Check::Wrong(Fault::BadPassword));
    let old = credentials(&mut g, Algorithm::Md5, 1000, "00000001", "tulip");
    assert_eq!(check(&mut g, &old, 1301), Check::Challenge { stale: true });
    let foreign = old.replace("realm=\"portreeve\"", "realm=\"other\"");
    assert_eq!(check(&mut g, &foreign, 1001), Check::Challenge { stale: false });
    let algorithm = old.replace("algorithm=MD5", "algorithm=SHA-512-256");
    assert_eq!(check(&mut g, &algorithm, 1001), Check::Wrong(Fault::Algorithm));
    assert!(
        g.challenge(at(1), true, phone())[0].contains("SHA-256")
            && !format!("{g:?}").contains("tulip")
    );
}

#[test]
fn who_is_no_extension_is_told_so_whatever_his_password() {
    let mut g = gate();
    for name in ["alice", "1", "1234567", "10a"] {
        for password in ["tulip", "rose"] {
            let value = credentials(&mut g, Algorithm::Md5, 1000, "00000001", password);
            let value = value.replace("username=\"101\"", &format!("username=\"{name}\""));
            let told = check(&mut g, &value, 1001);
            assert_eq!(told, Check::Wrong(Fault::NoExtension), "{name} {password}");
        }
    }
    assert_eq!(Fault::NoExtension.answer(), (403, "Extensions Have 2 To 6 Digits"));
    assert_eq!(Fault::NoExtension.to_string(), "no_extension");
    let mut listed = Authenticator::new("portreeve", Users::Table(HashMap::new()), [3; 32]);
    let value = credentials(&mut listed, Algorithm::Md5, 1000, "00000001", "tulip");
    assert_eq!(check(&mut listed, &value, 1001), Check::Wrong(Fault::UnknownUser));
}

#[test]
fn the_rfc_7616_example_hashes_as_printed() {
    let a = Algorithm::Md5;
    let ha1 = a.hex("Mufasa:http-auth@example.org:Circle of Life");
    let ha2 = a.hex("GET:/dir/index.html");
    let middle = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v:00000001:f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ:auth";
    assert_eq!(a.hex(&format!("{ha1}:{middle}:{ha2}")), "8ca523f5e9506fed4657c9700eebdbec");
}

proptest! {
    #[test]
    fn no_value_panics(value in "\\PC{0,200}") {
        let _ = check(&mut gate(), &value, 5);
        let _ = check(&mut gate(), &format!("Digest {value}"), 5);
    }
}
