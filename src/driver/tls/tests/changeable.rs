//! Files that others may change say nothing of whom we believe: at the start, and read again.

use super::*;
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{chown, symlink};

#[tokio::test]
async fn authorities_and_certificates_that_others_may_change_are_refused() {
    let place = Place::new("writable");
    let ours = Authority::new();
    let (pem, key) = ours.signs(&["site.example"], 2100);
    place.write("site.pem", &pem);
    place.write("site.key", &key);
    place.write("ca.pem", &ours.1);
    let at = |name: &str| place.0.join(name);
    let lan = format!(
        "{{ certificate = \"{}\", key = \"{}\", client = \"ask\", client_ca = \"{}\" }}",
        place.at("site.pem"),
        place.at("site.key"),
        place.at("ca.pem")
    );
    let pbx = format!("{{ verify = \"ca-file\", ca_file = \"{}\" }}", place.at("ca.pem"));
    let self_signed = config(&place, "\"self-signed\"", &pbx);
    let both = config(&place, &lan, "{}");
    let refused = |c: &Config| Tls::open(c).map(drop).err().unwrap_or_default();
    for (file, c, mode) in [
        ("ca.pem", &both, 0o666),
        ("ca.pem", &both, 0o664),
        ("ca.pem", &self_signed, 0o646),
        ("site.pem", &both, 0o622),
    ] {
        assert_eq!(refused(c), "");
        set_permissions(at(file), Permissions::from_mode(mode)).unwrap();
        let told = refused(c);
        let words = format!("{file}: others may change it (mode {mode:o}): chmod go-w it");
        assert!(told.contains(&words), "{told}");
        assert!(Tls::look(c).1.concat().contains(&words), "who checks is told so");
        set_permissions(at(file), Permissions::from_mode(0o644)).unwrap();
    }
    // In a folder in which everybody may put another in its place.
    set_permissions(&place.0, Permissions::from_mode(0o777)).unwrap();
    assert!(refused(&both).contains("everybody may write its folder"), "{}", refused(&both));
    set_permissions(&place.0, Permissions::from_mode(0o700)).unwrap();
    // A link of ours is followed, as certbot makes them.
    symlink("ca.pem", at("link.pem")).unwrap();
    let linked = config(&place, &lan.replace("ca.pem", "link.pem"), "{}");
    assert_eq!(refused(&linked), "");
    // Only root can give files away.
    if chown(at("ca.pem"), Some(65_534), None).is_ok() {
        assert!(refused(&both).contains("it belongs to uid 65534, who could change it"));
        chown(at("ca.pem"), Some(0), None).unwrap();
        std::os::unix::fs::lchown(at("link.pem"), Some(65_534), None).unwrap();
        assert!(refused(&linked).contains("is a link of uid 65534"));
    }
}

#[tokio::test]
async fn what_everybody_may_change_later_is_told_and_what_was_read_before_stays() {
    let place = Place::new("writable-later");
    let (ours, theirs) = (Authority::new(), Authority::new());
    place.write("ca.pem", &ours.1);
    let lan = format!(
        "{{ certificate = \"self-signed\", client = \"require\", client_ca = \"{}\" }}",
        place.at("ca.pem")
    );
    let g = gateway(&config(&place, &lan, "{}")).await;
    let phone_of = |by: &Authority| by.signs(&["phone.example"], 2100);
    assert!(phone(g.at, Some(&phone_of(&ours))).await.is_ok());
    let at = place.0.join("ca.pem");
    let was = g.streams.tls().0.settings.load_full();
    set_permissions(&at, Permissions::from_mode(0o666)).unwrap();
    assert!(was.is_old(), "its mode is another");
    // As somebody else who may write there does it.
    std::fs::write(&at, format!("{}{}", ours.1, theirs.1)).unwrap();
    assert!(g.streams.tls().renew().is_empty());
    let faults = g.streams.tls().0.settings.load().faults.concat();
    assert!(faults.contains("ca.pem: others may change it (mode 666)"), "{faults}");
    assert!(phone(g.at, Some(&phone_of(&theirs))).await.is_err());
    assert!(phone(g.at, Some(&phone_of(&ours))).await.is_ok());
}
