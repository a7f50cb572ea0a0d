//! Who connects and shows a certificate: which names are believed of which certificates, and what
//! happens to who proves none.

use super::*;
use rcgen::{DnType, ExtendedKeyUsagePurpose as For, GeneralSubtree, NameConstraints};

/// id-kp-sipDomain (RFC 5924 §3).
const SIP_DOMAIN: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 20];

/// A certificate of these alternatives and purposes.
fn named(sans: Vec<SanType>, common: &str, purposes: Vec<For>, by: &Authority) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = sans;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
    params.extended_key_usages = purposes;
    made(params, &key, Some(by))
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

impl Authority {
    /// One below it, which may sign for DNS names of this domain only; what it shows of itself.
    pub(super) fn bound_to(&self, domain: &str) -> (Self, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "bound to some names");
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName(domain.to_owned())],
            excluded_subtrees: Vec::new(),
        });
        let pem = params.signed_by(&key, &self.0).unwrap().pem();
        (Self(Issuer::new(params, key), String::new()), pem)
    }
}

/// What is told of who shows this: his names, or why none; `None`: he is not let in.
async fn told(
    place: &Place,
    client: &str,
    shown: &(String, String),
) -> Option<Result<String, String>> {
    let lan = format!(
        "{{ certificate = \"self-signed\", client = \"{client}\", client_ca = \"{}\" }}",
        place.at("phones.pem")
    );
    let mut g = gateway(&config(place, &lan, "{}")).await;
    let (at, own) = (g.at, shown.clone());
    let there = tokio::spawn(async move { phone(at, Some(&own)).await });
    let arrival = g.next().await;
    if let Arrival::Closed(_) = arrival {
        assert!(there.await.unwrap().is_err());
        return None;
    }
    let told = if let Arrival::Secured { names, .. } = arrival {
        let names: Vec<&str> = names.iter().map(Subject::as_str).collect();
        Ok(names.join(" "))
    } else {
        let Arrival::Unnamed { why, .. } = arrival else { panic!("{arrival:?}") };
        Err(why)
    };
    assert!(matches!(g.next().await, Arrival::Message { .. }), "he is heard");
    assert!(there.await.unwrap().is_ok());
    Some(told)
}

#[tokio::test]
async fn who_connects_may_show_a_certificate_of_a_server_or_of_sip() {
    let place = Place::new("purposes");
    let ours = Authority::new();
    place.write("phones.pem", &ours.1);
    let all = |purposes| named(vec![dns("trunk.example.net")], "", purposes, &ours);
    for (purposes, good) in [
        (vec![], true),
        (vec![For::ClientAuth], true),
        (vec![For::ServerAuth], true),
        (vec![For::Other(SIP_DOMAIN.to_vec())], true),
        (vec![For::EmailProtection, For::ServerAuth], true),
        (vec![For::EmailProtection], false),
    ] {
        let shown = all(purposes.clone());
        let asked = told(&place, "ask", &shown).await.expect("he is let in");
        if good {
            assert_eq!(asked.as_deref(), Ok("trunk.example.net"), "{purposes:?}");
        } else {
            assert!(asked.unwrap_err().contains("another purpose than SIP's"));
        }
        assert_eq!(told(&place, "require", &shown).await.is_some(), good, "{purposes:?}");
    }
}

#[tokio::test]
async fn an_upstream_may_show_a_certificate_of_sip_alone() {
    let place = Place::new("sip-domain");
    let ours = Authority::new();
    place.write("ca.pem", &ours.1);
    let ca = format!("{{ verify = \"ca-file\", ca_file = \"{}\" }}", place.at("ca.pem"));
    let shown = |purpose| named(vec![dns("sip.example.net")], "", vec![purpose], &ours);
    let sip = For::Other(SIP_DOMAIN.to_vec());
    assert_eq!(verdict(&place, &ca, &shown(sip)).await, None);
    let (kind, why) = verdict(&place, &ca, &shown(For::ClientAuth)).await.expect("not for that");
    assert!(kind == TlsFailure::Certificate && why.contains("a server's"), "{why}");
}

#[tokio::test]
async fn who_is_only_asked_and_proves_nothing_is_heard_without_a_name() {
    let place = Place::new("asked");
    let (ours, theirs) = (Authority::new(), Authority::new());
    place.write("phones.pem", &ours.1);
    let mut crowd = ours.signs(&["phone.example"], 2100);
    (0..5).for_each(|_| crowd.0.push_str(&Authority::new().1));
    // The certificate of one, with the key of another.
    let stolen = (ours.signs(&["phone.example"], 2100).0, KeyPair::generate().unwrap());
    let stolen = (stolen.0, stolen.1.serialize_pem());
    assert!(told(&place, "require", &stolen).await.is_none());
    for (shown, words) in [
        (stolen, "does not prove that it has its certificate's key"),
        (theirs.signs(&["phone.example"], 2100), "nobody who is trusted signed its certificate"),
        (ours.signs(&["phone.example"], 2021), "days ago"),
        ((OLD.0.to_owned(), OLD.1.to_owned()), "an old one (version 1)"),
        (crowd, "it shows a chain of 6 certificates"),
        (ours.signs(&["192.0.2.1"], 2100), "names nobody"),
    ] {
        let asked = told(&place, "ask", &shown).await.expect("he is let in");
        let why = asked.expect_err("nobody is believed for that");
        assert!(why.contains(words), "{why}");
    }
}

#[tokio::test]
async fn a_name_counts_where_somebody_looked_whether_its_authority_may_give_it() {
    let place = Place::new("bound");
    let ours = Authority::new();
    place.write("phones.pem", &ours.1);
    let (bound, between) = ours.bound_to("phones.example");
    let trunk = || dns("trunk.example.net");
    let mail = || SanType::Rfc822Name("a@trunk.example.net".try_into().unwrap());
    let sip = "sip:trunk.example.net";
    for (sans, common, by, names) in [
        // Nobody's authority is bound here.
        (vec![], "SEP001565", &ours, Some("SEP001565")),
        (vec![mail()], "trunk.example.net", &ours, None),
        (vec![uri("trunk.example.net")], "trunk.example.net", &ours, None),
        (vec![uri(sip)], "x", &ours, Some(sip)),
        (vec![trunk()], "x", &ours, Some("trunk.example.net")),
        // Of a phones' authority.
        (vec![], "trunk.example.net", &bound, None),
        (vec![trunk()], "x", &bound, None),
        (vec![dns("a.phones.example")], "trunk.example.net", &bound, Some("a.phones.example")),
        (vec![uri(sip)], "x", &bound, None),
        (vec![uri(sip), dns("a.phones.example")], "x", &bound, Some("a.phones.example")),
    ] {
        let mut shown = named(sans.clone(), common, vec![], by);
        shown.0.push_str(&between);
        let asked = told(&place, "ask", &shown).await.expect("he is let in");
        assert_eq!(asked.as_deref().ok(), names, "{sans:?} {common}: {asked:?}");
    }
}

#[tokio::test]
async fn an_upstream_s_sip_uri_of_an_authority_that_is_bound_to_dns_names_is_no_name() {
    let place = Place::new("bound-upstream");
    let ours = Authority::new();
    place.write("ca.pem", &ours.1);
    let ca = format!("{{ verify = \"ca-file\", ca_file = \"{}\" }}", place.at("ca.pem"));
    let (bound, between) = ours.bound_to("example.net");
    let sip = "sip:sip.example.net";
    let mut shown = named(vec![uri(sip), dns("x.example.net")], "", vec![], &bound);
    shown.0.push_str(&between);
    let (kind, why) = verdict(&place, &ca, &shown).await.expect("it is not believed");
    assert_eq!(kind, TlsFailure::Name, "{why}");
    let mut shown = named(vec![uri(sip), dns("sip.example.net")], "", vec![], &bound);
    shown.0.push_str(&between);
    assert_eq!(verdict(&place, &ca, &shown).await, None);
}

/// Who shows so many authorities of one name beside his own certificate, of that name's key.
fn among_namesakes(ours: &Authority, many: usize) -> (String, String) {
    let (mut shown, key) = ours.signs(&["phone.example"], 2100);
    // Every authority of these tests has the same name.
    (0..many).for_each(|_| shown.push_str(&Authority::new().1));
    (shown, key)
}

#[tokio::test]
async fn a_maze_of_authorities_of_one_name_is_not_walked() {
    let place = Place::new("maze");
    let ours = Authority::new();
    place.write("phones.pem", &ours.1);
    let asked = told(&place, "require", &among_namesakes(&ours, 1)).await;
    assert_eq!(asked, Some(Ok("phone.example".to_owned())));
    assert_eq!(told(&place, "require", &among_namesakes(&ours, 2)).await, None);
    let why = told(&place, "ask", &among_namesakes(&ours, 4)).await;
    let why = why.expect("he is let in").expect_err("without a name");
    assert!(why.contains("several authorities of one name"), "{why}");
}

#[test]
fn an_upstream_may_show_an_authority_that_another_has_signed_crosswise() {
    let der = |pem: &str| files::chain(pem.as_bytes()).unwrap().remove(0);
    let of = |many: usize| (0..many).map(|_| der(&Authority::new().1)).collect::<Vec<_>>();
    let told = |many, most| chain::apart(&of(many), most).map_err(|e| e.kind);
    let refused = Err(TlsFailure::Certificate);
    assert_eq!([1, 2].map(|n| told(n, chain::SINGLE)), [Ok(()), refused]);
    assert_eq!([2, 3].map(|n| told(n, chain::CROSSED)), [Ok(()), refused]);
}
