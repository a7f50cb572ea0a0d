//! What we write, and what we read, as other readers see it.

use super::bodies::ALL;
use super::{ours, read};

#[test]
fn our_output_reads_as_we_meant_it() {
    for body in ALL {
        let out = ours(body);
        let theirs = sdp_types::Session::parse(out.as_bytes()).unwrap();
        assert_eq!(theirs.origin.unicast_address, "203.0.113.7");
        let mine = read(body);
        assert_eq!(theirs.medias.len(), mine.media().len());
        for (i, (theirs, mine)) in theirs.medias.iter().zip(mine.media()).enumerate() {
            let port = if mine.port == 0 { 0 } else { 30_000 + 2 * i as u16 };
            assert_eq!((theirs.port, theirs.num_ports), (port, None));
            assert_eq!((&theirs.media, &theirs.proto), (&mine.kind, &mine.proto));
            assert_eq!(theirs.fmt, mine.formats.join(" "));
            for c in &theirs.connections {
                assert!(["203.0.113.7", "0.0.0.0"].contains(&c.connection_address.as_str()));
            }
        }
    }
}

#[test]
fn other_readers_see_the_same_input() {
    for body in ALL {
        let mine = read(body);
        let theirs = sdp_types::Session::parse(body.as_bytes()).unwrap();
        assert_eq!(theirs.medias.len(), mine.media().len());
        for (t, m) in theirs.medias.iter().zip(mine.media()) {
            assert_eq!((t.port, t.fmt.as_str()), (m.port, m.formats.join(" ").as_str()));
            let c = t.connections.first().or(theirs.connection.as_ref());
            let address = c.map(|c| c.connection_address.split('/').next().unwrap().to_owned());
            assert_eq!(address, m.address.map(|a| a.to_string()));
            let maps = t.get_attribute_values("rtpmap").count();
            assert_eq!(maps, m.rtpmap.len());
            assert_eq!(t.has_attribute("rtcp-mux"), m.rtcp_mux);
        }
    }
}

#[test]
fn attributes_pass_in_order_and_unchanged() {
    for body in ALL {
        let theirs = |text: &str| -> Vec<String> {
            let session = sdp_types::Session::parse(text.as_bytes()).unwrap();
            let all = session.attributes.iter();
            let all = all.chain(session.medias.iter().flat_map(|m| &m.attributes));
            let shown = |a: &sdp_types::Attribute| {
                format!("{}:{}", a.attribute, a.value.as_deref().unwrap_or_default())
            };
            all.map(shown).collect()
        };
        let gone =
            ["candidate:", "ice-", "rtcp-mux", "group:BUNDLE", "bundle-only", "path:", "rtcp:"];
        let kept = |a: &String| !gone.iter().any(|g| a.starts_with(g)) && !a.contains("10.1.0.11");
        let before: Vec<String> = theirs(body).into_iter().filter(kept).collect();
        let after: Vec<String> = theirs(&ours(body)).into_iter().filter(kept).collect();
        assert_eq!(before, after);
    }
}

/// sdp-rs reads `opus/48000/2` and unknown lines wrongly; for plain bodies it is a third opinion.
#[test]
fn a_third_reader_agrees_on_plain_bodies() {
    use super::bodies::{SAMSUNG, T38};
    for body in [SAMSUNG, T38] {
        let out = ours(body);
        let theirs = sdp_rs::SessionDescription::try_from(out.clone()).unwrap();
        let ports: Vec<u16> = theirs.media_descriptions.iter().map(|m| m.media.port).collect();
        let mine: Vec<u16> = read(&out).media().iter().map(|m| m.port).collect();
        assert_eq!(ports, mine);
        let address = theirs.connection.unwrap().connection_address.base;
        assert_eq!(address.to_string(), "203.0.113.7");
    }
}
