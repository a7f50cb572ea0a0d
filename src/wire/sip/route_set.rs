//! Where a request goes that has a route set: loose routers are named in Route, a strict one takes
//! the start line (RFC 3261 §12.2.1.1, §16.6 step 6). The one place that knows the difference.

use super::{Message, Name, NameAddr, Uri};

/// Gives a request its start line and Route: `target` by way of `routes`, nearest first. Routes
/// that were there are replaced.
pub fn aim(request: &mut Message, target: &str, routes: &[Vec<u8>]) {
    request.remove(&Name::Route);
    let strict = routes.first().and_then(|r| NameAddr::parse(r)).filter(|n| !is_loose(&n.uri));
    let Some(router) = strict else {
        request.set_uri(target);
        for route in routes.iter().rev() {
            request.push_front(Name::Route, route.clone());
        }
        return;
    };
    // What no Request-URI has is left out (§19.1.1, table 1).
    let mut uri = router.uri;
    uri.headers = None;
    uri.params.remove("method");
    request.set_uri(&uri.to_string());
    request.push_front(Name::Route, format!("<{target}>"));
    for route in routes.iter().skip(1).rev() {
        request.push_front(Name::Route, route.clone());
    }
}

/// §16.4: a strict router before us took our Record-Route (`ours`) for the start line and put the
/// target at the end of the Route. The request as a loose router would have sent it.
pub fn loosen(request: &mut Message, ours: &Uri) {
    let mut routes: Vec<Vec<u8>> = request.list(&Name::Route).map(<[u8]>::to_vec).collect();
    let Some(target) = routes.pop().and_then(|v| NameAddr::parse(&v)) else { return };
    routes.insert(0, format!("<{ours}>").into_bytes());
    request.remove(&Name::Route);
    request.set_uri(&target.uri.to_string());
    for route in routes.into_iter().rev() {
        request.push_front(Name::Route, route);
    }
}

fn is_loose(uri: &Uri) -> bool {
    uri.params.get("lr").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sip::Method;

    fn aimed(routes: &[&str]) -> (String, Vec<String>) {
        let mut request = Message::request(Method::Bye, "sip:old@192.0.2.9");
        request.push_back(Name::Route, "<sip:old.example;lr>");
        let routes: Vec<Vec<u8>> = routes.iter().map(|r| r.as_bytes().to_vec()).collect();
        aim(&mut request, "sip:bob@192.0.2.4", &routes);
        told(&request)
    }

    fn told(request: &Message) -> (String, Vec<String>) {
        let text = |v: &[u8]| String::from_utf8_lossy(v).into_owned();
        (request.uri().to_owned(), request.list(&Name::Route).map(text).collect())
    }

    #[test]
    fn loose_routers_stand_in_route_and_a_strict_one_in_the_start_line() {
        assert_eq!(aimed(&[]), ("sip:bob@192.0.2.4".to_owned(), vec![]));
        let loose = ["<sip:p1.example;lr>", "<sip:p2.example>"];
        assert_eq!(aimed(&loose).0, "sip:bob@192.0.2.4");
        assert_eq!(aimed(&loose).1, loose);
        let (uri, routes) = aimed(&["<sip:p1.example;method=BYE?X=1>", "<sip:p2.example;lr>"]);
        assert_eq!(uri, "sip:p1.example");
        assert_eq!(routes, ["<sip:p2.example;lr>", "<sip:bob@192.0.2.4>"]);
        assert_eq!(aimed(&["<sip:p1.example;lr=on>"]).0, "sip:bob@192.0.2.4");
        assert_eq!(aimed(&["no route"]).0, "sip:bob@192.0.2.4", "what cannot be read is no router");
    }

    #[test]
    fn what_a_strict_router_made_of_a_request_is_undone() {
        let mut request = Message::request(Method::Bye, "sip:us.example;lr");
        request.push_back(Name::Route, "<sip:p2.example;lr>, <sip:bob@192.0.2.4>");
        let ours = Uri::parse(request.uri().as_bytes()).expect("a URI");
        loosen(&mut request, &ours);
        let routes = vec!["<sip:us.example;lr>".to_owned(), "<sip:p2.example;lr>".to_owned()];
        assert_eq!(told(&request), ("sip:bob@192.0.2.4".to_owned(), routes));
        let mut bare = Message::request(Method::Bye, "sip:us.example;lr");
        loosen(&mut bare, &ours);
        assert_eq!(
            told(&bare),
            ("sip:us.example;lr".to_owned(), vec![]),
            "nothing to undo it with"
        );
    }
}
