//! Whether a registered phone can be reached, as readers see it: its connection is there, or is
//! closed; what nobody knows is not shown as good.

use crate::lab::script::answer;
use crate::lab::{Lab, Msg, Ua, site};
use portreeve::engine::digest::Users;
use portreeve::engine::{Input, Reach};

/// A site whose phones speak TLS where others speak TCP.
fn secure() -> Lab {
    let listen = "listen = [\"udp:5060\", \"udp:5070\", \"tcp:5060\"]";
    let tls = "listen = [\"udp:5060\", \"udp:5070\", \"tls:5061\"]\ntls = \"self-signed\"";
    Lab::with(site::parse(&site::EDGE.replace(listen, tls)), Users::None)
}

/// What readers see of the phones, oldest first.
fn seen(lab: &Lab) -> Vec<Reach> {
    lab.engine.bindings(lab.now).iter().map(|b| lab.reach[&b.key]).collect()
}

fn close(lab: &mut Lab, phone: &Ua) {
    lab.input(Input::ConnectionClosed(phone.at.flow.conn.expect("a connection")));
}

/// A phone's REGISTER as the upstream has it.
fn asked(lab: &mut Lab, phone: &Ua, contact: &str) -> Msg {
    let register = phone
        .request_to(lab, "REGISTER", &format!("sip:{}", phone.domain))
        .set("To", format!("<{}>", phone.aor()))
        .set("Contact", contact)
        .with("Expires", "600");
    lab.send(phone.at, register);
    let pbx = lab.pbx();
    lab.expect(pbx, "REGISTER")
}

fn granted(lab: &mut Lab, asked: &Msg) {
    let contact = format!("<{}>;expires=600", asked.contact());
    let pbx = lab.pbx();
    lab.send(pbx, answer(asked, 200, "reg").with("Contact", contact));
}

#[test]
fn a_phone_by_tls_is_gone_with_its_connection_and_comes_again_with_another() {
    let mut lab = secure();
    let mut phone = Ua::new(lab.tls(site::INSIDE_TCP, "10.17.0.31:40001"), "103");
    lab.register(&phone, 600);
    assert_eq!(seen(&lab), [Reach::Connected]);
    close(&mut lab, &phone);
    assert_eq!(seen(&lab), [Reach::Gone]);
    let contact = phone.contact();
    phone.at = lab.tls(site::INSIDE_TCP, "10.17.0.31:40002");
    assert_ne!(phone.contact(), contact, "it has another port in it");
    lab.register(&phone, 600);
    assert_eq!(seen(&lab), [Reach::Gone, Reach::Connected]);
    // What a restart kept has no connection.
    lab.restart();
    assert_eq!(seen(&lab), [Reach::Gone, Reach::Gone]);
    lab.end();
}

#[test]
fn a_phone_by_tcp_that_listens_where_its_contact_says_may_be_there_still() {
    let mut lab = Lab::edge();
    let phone = Ua::new(lab.inside_tcp("10.17.0.31:40001"), "103");
    lab.register(&phone, 600);
    let natted = Ua::new(lab.inside_tcp("10.17.0.32:40001"), "104");
    let got = asked(&mut lab, &natted, "<sip:104@192.168.178.5:5060;transport=tcp>");
    granted(&mut lab, &got);
    lab.expect(natted.at, "200");
    let plain = lab.phone("101", "10.17.0.21:5060");
    lab.register(&plain, 600);
    assert_eq!(seen(&lab), [Reach::Connected, Reach::Connected, Reach::Registered]);
    close(&mut lab, &phone);
    close(&mut lab, &natted);
    let mut closed = seen(&lab);
    closed.sort_unstable();
    assert_eq!(closed, [Reach::Registered, Reach::Unknown, Reach::Gone]);
    lab.end();
}

#[test]
fn a_connection_that_closed_before_the_upstream_said_yes_is_no_way_to_a_phone() {
    let mut lab = secure();
    let phone = Ua::new(lab.tls(site::INSIDE_TCP, "10.17.0.31:40001"), "103");
    let own = phone.contact();
    let got = asked(&mut lab, &phone, &own);
    close(&mut lab, &phone);
    granted(&mut lab, &got);
    let mut closed = phone.at;
    closed.flow.conn = None;
    lab.expect(closed, "200");
    assert_eq!(seen(&lab), [Reach::Gone]);
    lab.end();
}
