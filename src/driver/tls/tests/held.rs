//! Proofs end with what they rested on: the files, the configuration, the certificate's own time.

use super::*;
use crate::driver::tls::Ended;
use crate::ground::Wall;

fn lan(place: &Place, client: &str) -> String {
    let ca = place.at("phones.pem");
    format!("{{ certificate = \"self-signed\", client = \"{client}\", client_ca = \"{ca}\" }}")
}

/// A phone that stays; its connection here.
async fn stays(g: &mut Gateway, own: (String, String)) -> (tokio::task::JoinHandle<()>, Flow) {
    let at = g.at;
    let there = tokio::spawn(async move {
        let mut stream = tls_of(TcpStream::connect(at).await.unwrap(), Some(&own)).await.unwrap();
        stream.write_all(OPTIONS).await.unwrap();
        let _ = stream.read(&mut [0; 16]).await;
    });
    // Whoever was there before him may end only now.
    let mut arrival = g.next().await;
    while let Arrival::Closed(_) = arrival {
        arrival = g.next().await;
    }
    let Arrival::Secured { flow, .. } = arrival else { panic!("he is named: {arrival:?}") };
    assert!(matches!(g.next().await, Arrival::Message { .. }));
    (there, flow)
}

fn look(g: &Gateway, after: u64) -> Vec<Ended> {
    let tls = &g.streams.tls().0;
    let now = Clock::start().now().wall.0 + Duration::from_secs(after);
    let (settings, now) = (tls.settings.load(), Wall(now));
    let doubts = tls.held.doubts(&settings, now);
    doubts.iter().filter_map(|doubt| tls.held.look(doubt, &settings, now)).collect()
}

#[tokio::test]
async fn who_called_us_is_believed_as_long_as_his_authority_and_his_certificate_hold() {
    let place = Place::new("held");
    let (ours, theirs) = (Authority::new(), Authority::new());
    place.write("phones.pem", &ours.1);
    let c = config(&place, &lan(&place, "ask"), "{}");
    let mut g = gateway(&c).await;
    let own = ours.signs(&["trunk.example"], 2100);
    let (there, flow) = stays(&mut g, own.clone()).await;
    let tls = g.streams.tls().clone();
    // The same again, and one authority more: it is proved still.
    tls.follow(&c);
    assert!(look(&g, 0).is_empty());
    place.write("phones.pem", &format!("{}{}", theirs.1, ours.1));
    tls.follow(&c);
    assert!(look(&g, 0).is_empty());
    // Its time, with nothing else changed.
    let ended = look(&g, 80 * 31_556_952);
    let [Ended { flow: whose, why, at_once: false }] = &ended[..] else { panic!("{ended:?}") };
    assert!(*whose == flow && why.contains("days ago"), "{why}");
    assert!(look(&g, 80 * 31_556_952).is_empty(), "told once");
    there.abort();
    // Another authority, by the watch.
    let (there, flow) = stays(&mut g, own).await;
    tokio::spawn(g.streams.clone().watch_proofs());
    place.write("phones.pem", &theirs.1);
    tls.follow(&c);
    let mut arrival = g.next().await;
    while let Arrival::Closed(_) = arrival {
        arrival = g.next().await;
    }
    let Arrival::Disproved { flow: whose, why, at_once } = arrival else { panic!("{arrival:?}") };
    assert!(whose == flow && at_once && why.contains("who is trusted"), "{why}");
    // Nobody is asked any more.
    there.abort();
    place.write("phones.pem", &ours.1);
    tls.follow(&c);
    let (_there, flow) = stays(&mut g, ours.signs(&["trunk.example"], 2100)).await;
    tls.follow(&config(&place, "\"self-signed\"", "{}"));
    let told = async {
        loop {
            if let Arrival::Disproved { flow: whose, why, at_once: true } = g.next().await {
                return (whose, why);
            }
        }
    };
    let (whose, why) = told.await;
    assert!(whose == flow && why.contains("not asked for a proof"), "{why}");
}

#[tokio::test]
async fn whom_we_called_is_believed_as_long_as_the_file_believes_him() {
    let place = Place::new("held-upstream");
    let ours = Authority::new();
    place.write("ca.pem", &ours.1);
    let shown = ours.signs(&["sip.example.net"], 2100);
    let pin = Facts::of(&files::chain(shown.0.as_bytes()).unwrap()[0]).unwrap().pin.unwrap();
    let pinned = |pin: &str| format!("{{ verify = \"pinned\", pins = [\"{pin}\"] }}");
    let ca = format!("{{ verify = \"ca-file\", ca_file = \"{}\" }}", place.at("ca.pem"));
    let wrong = format!("sha-256:{}", "00".repeat(32));
    let other = ca.replace(" }", ", name = \"other.example.net\" }");
    for (before, after, ends) in [
        (ca.clone(), pinned(&pin.to_string()), false),
        (pinned(&pin.to_string()), ca.clone(), false),
        (pinned(&pin.to_string()), pinned(&wrong), true),
        (ca.clone(), other, true),
        (ca, pinned(&wrong), true),
    ] {
        let g = gateway(&config(&place, "\"self-signed\"", &before)).await;
        let (at, _there) = upstream_until(&shown, BOTH, |_| false).await;
        g.call(at);
        let tls = g.streams.tls().clone();
        let shaken = async {
            while tls.0.held.len() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), shaken).await.expect("it is proved");
        tls.follow(&config(&place, "\"self-signed\"", &after));
        let ended = look(&g, 0);
        assert_eq!(ended.len(), usize::from(ends), "{before} {after}: {ended:?}");
        assert!(ended.iter().all(|e| e.at_once && e.flow.upstream == Some(UpstreamId::new(0))));
        // A key is believed whatever the time; a certificate is not.
        if !ends {
            let long = look(&g, 80 * 31_556_952).len();
            assert_eq!(long, usize::from(after.contains("ca-file")), "{after}");
        }
    }
}

#[tokio::test]
async fn what_is_proved_anew_is_put_back_where_the_same_connection_is_still_held() {
    let place = Place::new("held-meanwhile");
    let (ours, theirs) = (Authority::new(), Authority::new());
    place.write("phones.pem", &ours.1);
    let c = config(&place, &lan(&place, "ask"), "{}");
    let mut g = gateway(&c).await;
    let (_one, first) = stays(&mut g, ours.signs(&["one.example"], 2100)).await;
    let (_two, second) = stays(&mut g, ours.signs(&["two.example"], 2100)).await;
    let tls = g.streams.tls().clone();
    assert!(look(&g, 0).is_empty(), "nobody is in doubt");
    place.write("phones.pem", &theirs.1);
    tls.follow(&c);
    let (settings, now) = (tls.0.settings.load(), Clock::start().now().wall);
    let doubts = tls.0.held.doubts(&settings, now);
    assert_eq!((doubts.len(), tls.0.held.len()), (2, 2), "they are held until it is known");
    // One ends while both are looked at.
    tls.release(&first);
    for flows in [vec![second], vec![]] {
        let all = doubts.iter().filter_map(|doubt| tls.0.held.look(doubt, &settings, now));
        let ended: Vec<Flow> = all.map(|ended| ended.flow).collect();
        assert_eq!(ended, flows, "told once, and only of who is there");
    }
    assert_eq!(tls.0.held.len(), 0);
}

#[tokio::test]
async fn of_what_a_phone_shows_what_proves_it_is_kept_and_nothing_beside_that() {
    let place = Place::new("held-path");
    let ours = Authority::new();
    place.write("phones.pem", &ours.1);
    let mut g = gateway(&config(&place, &lan(&place, "ask"), "{}")).await;
    let (bound, between) = ours.bound_to("phones.example");
    let junk = || {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "an authority of nobody");
        params.self_signed(&key).unwrap().pem()
    };
    for (by, more, kept) in
        [(&ours, junk(), 1), (&bound, between.clone(), 2), (&bound, junk() + &between, 2)]
    {
        let mut own = by.signs(&["one.phones.example"], 2100);
        own.0.push_str(&more);
        let before = g.streams.tls().0.held.kept();
        let (there, flow) = stays(&mut g, own).await;
        assert_eq!(g.streams.tls().0.held.kept() - before, kept);
        assert!(look(&g, 0).is_empty());
        g.streams.tls().release(&flow);
        there.abort();
    }
}

#[tokio::test]
async fn an_authority_is_believed_as_long_as_its_own_certificate_says() {
    let place = Place::new("held-root");
    let ours = Authority::until(2050);
    place.write("phones.pem", &ours.1);
    let mut g = gateway(&config(&place, &lan(&place, "ask"), "{}")).await;
    let (_there, _) = stays(&mut g, ours.signs(&["trunk.example"], 2100)).await;
    assert!(look(&g, 10 * 31_556_952).is_empty());
    let ended = look(&g, 40 * 31_556_952);
    let [Ended { why, at_once: false, .. }] = &ended[..] else { panic!("{ended:?}") };
    assert!(why.contains("its authority's, has expired"), "{why}");
    // It was renewed for the same key: both stand in the file.
    let (_there, _) = stays(&mut g, ours.signs(&["trunk.example"], 2100)).await;
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_after = date_time_ymd(2090, 1, 1);
    params.distinguished_name.push(rcgen::DnType::CommonName, "an authority of tests");
    let renewed = params.self_signed(ours.0.key()).unwrap().pem();
    place.write("phones.pem", &format!("{}{renewed}", ours.1));
    let tls = g.streams.tls().clone();
    tls.follow(&tls.0.settings.load_full().config.clone());
    assert!(look(&g, 0).is_empty());
    assert!(look(&g, 40 * 31_556_952).is_empty(), "the other one holds");
    assert_eq!(look(&g, 75 * 31_556_952).len(), 1);
}
