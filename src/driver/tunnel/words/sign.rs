//! Why a tunnel is not there: every reason has a sign, which stands in what is said of it and in
//! the table of docs/TROUBLESHOOTING.md, and an advice, which is the same in both. It knows no
//! address and no key: those stand between the two.

use crate::ground::words;

words! {
    /// What a reason is known by.
    pub(in crate::driver::tunnel) enum Sign {
        /// DNS knows no such name.
        NoHost = "no such host",
        /// DNS says nothing.
        NoDns = "nobody says where that is",
        /// Nothing came.
        Silent = "no answer",
        /// Somebody said that nobody is there.
        Refused = "nobody listens there",
        /// Our own kernel refuses to send (EPERM).
        Shut = "this machine may not send there",
        /// No route.
        NoWay = "no way leads there",
        /// No socket.
        NoSocket = "no socket",
        /// TLS did not end in time.
        Slow = "no handshake within 8 s",
        /// The key is another's.
        WrongKey = "the head office shows the key",
        /// Ours is in no `[[peer]]` there.
        NotKnown = "our key is not known there",
        /// No key of a gateway was shown.
        NotTheOffice = "is not the head office",
        /// What is spoken there (ALPN, QUIC's version) is not a tunnel's.
        Protocol = "what is spoken there is no tunnel's protocol",
        /// A tunnel's, in another form.
        Version = "another version of the tunnel's protocol is spoken here",
        /// The names of the site differ.
        Site = "the site calls itself another",
        /// TLS stood, and no gateway spoke in it.
        NoGateway = "it says nothing that a gateway would",
        /// QUIC began, and no more came.
        Swallowed = "QUIC shakes hands, and nothing comes by it then",
        /// A redirection.
        LogIn = "it shows a page for people to log in first",
        /// 407, and we have no name.
        WhoAreWe = "it asks who we are",
        /// 407 by NTLM, Kerberos and others.
        UnknownWay = "in a way that is not known here",
        /// Basic where Digest is asked for by the file.
        InClear = "in clear (Basic), and proxy_auth is \"digest\"",
        /// Basic after Digest.
        InClearNow = "in clear (Basic), and asked for a digest before",
        /// 407 once more.
        NotBelieved = "it does not believe user and password",
        /// The password's file.
        NoPassword = "there is no password for it",
        /// 403 and 405.
        Forbidden = "it forbids CONNECT",
        /// 502, 503 and 504.
        NotReached = "it does not reach the head office",
        /// Any other status.
        Refuses = "it refuses CONNECT",
        /// No HTTP.
        NoHttp = "it speaks no HTTP",
        /// Nothing at all.
        NoReply = "it ends the connection without an answer",
        /// End of a connection that stood, or of one in its handshake.
        Cut = "it was cut without a word",
        /// The same by a reset.
        Reset = "it was reset",
        /// The same for want of acknowledgements.
        Lost = "what was sent was not acknowledged any more",
        /// Something else, as the library has it.
        Other = "it failed",
        /// At a head office: nobody came.
        NotCalled = "nobody has called yet",
        /// At a head office: a key of no peer.
        Stranger = "which is no [[peer]]'s",
        /// At a head office: the site does not believe it.
        NotBelievedThere = "does not believe our key",
    }
}

impl Sign {
    /// What to do.
    pub(in crate::driver::tunnel) fn advice(self) -> &'static str {
        match self {
            Self::NoHost => "is it spelled right, and does this network's DNS know it?",
            Self::NoDns => "is the DNS server of /etc/resolv.conf right, and does it answer?",
            Self::Silent => {
                "let that port out of this network, give the tunnel TCP as well (listen = \
                 [\"udp:443\", \"tcp:443\"] there), or set `proxy`"
            }
            Self::Refused => "does it run there, and is that its port?",
            Self::Shut => "a packet filter here refuses it (nft list ruleset): let that port out",
            Self::NoWay => "a route or an address is missing here (ip route get)",
            Self::NoSocket => "too many files may be open, or that IP version is switched off here",
            Self::Slow => "somebody on the way holds it up: let that host and port through",
            Self::WrongKey => "if it was changed there, put the new one in the file",
            Self::NotKnown => {
                "it belongs there in the `key` of this site's [[peer]] (portreeve tunnel keygen \
                 prints it here)"
            }
            Self::NotTheOffice => {
                "something between looks into TLS or shows a page of its own: it has to let that \
                 host and port through as they are (Squid: ssl_bump splice)"
            }
            Self::Protocol => "is that the port of the head office's tunnel, of the same version?",
            Self::Version => "update the older end",
            Self::Site => "one of the two names has to be written as the other",
            Self::NoGateway => "its log says why; is that the port of the head office's tunnel?",
            Self::Swallowed => {
                "a firewall lets QUIC begin and drops it then: let UDP through, or set bearer = \
                 \"tcp\""
            }
            Self::LogIn => {
                "a captive portal, or a proxy for people alone: let this gateway through"
            }
            Self::WhoAreWe => "set proxy_user and proxy_password_file",
            Self::UnknownWay => {
                "it has to allow Basic or Digest (MD5, SHA-256), or let this gateway through \
                 without"
            }
            Self::InClear => "let the proxy ask for a digest, or set proxy_auth = \"basic\"",
            Self::InClearNow => {
                "somebody else may answer in its place; where it is the same proxy, set \
                 proxy_auth = \"basic\""
            }
            Self::NotBelieved => {
                "look at proxy_user, and at the first line of the password's file; so that the \
                 account is not locked it is asked again after 5 minutes, at a reload, or when \
                 they are others"
            }
            Self::NoPassword => "mend proxy_password_file; it is read at each try",
            Self::Forbidden => "it has to allow CONNECT to that host and port",
            Self::NotReached => "may the proxy go out to that port, and does it know that name?",
            Self::Refuses => "is it an HTTP proxy that knows CONNECT?",
            Self::NoHttp => "is that the port of an HTTP proxy? SOCKS and https:// are not spoken",
            Self::NoReply => "its log says why; does it let this gateway's address in?",
            Self::Cut => "the other end, a proxy or a firewall ended it",
            Self::Reset => "the other end, a proxy or a firewall ended it",
            Self::Lost => "the way is gone: it is looked for anew",
            Self::Other => {
                "it is tried again; where that goes on, portreeve doctor tries each step"
            }
            Self::NotCalled => {
                "does the site's gateway run, does `connect` there lead here, and is the port open \
                 (portreeve ports)?"
            }
            Self::Stranger => "a new site's belongs in a [[peer]]; else leave it out",
            Self::NotBelievedThere => "it belongs there in peer_key",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::tunnel::told::Farewell;

    const PAGE: &str = include_str!("../../../../docs/TROUBLESHOOTING.md");

    /// What somebody reads in the log stands in the table, with the same advice.
    #[test]
    fn every_reason_stands_in_the_table_with_what_to_do() {
        for sign in Sign::ALL {
            let row = format!("| `{sign}` | {} |", sign.advice());
            assert!(PAGE.lines().any(|line| line == row), "docs/TROUBLESHOOTING.md lacks\n{row}");
        }
        for farewell in [Farewell::Replaced, Farewell::Revoked, Farewell::Over, Farewell::Still] {
            let row = format!("| `{}` | ", farewell.told().1);
            assert!(PAGE.contains(&row), "{row}");
        }
        let by_tcp = include_str!("../by_tcp.rs");
        let said =
            by_tcp.split("return \"").skip(1).filter_map(|rest| rest.split_once("\".to_own"));
        let said: Vec<&str> = said.map(|(said, _)| said).collect();
        assert!(said.len() >= 3, "{said:?}");
        for said in said {
            assert!(PAGE.contains(&format!("| `{said}` | ")), "{said}");
        }
    }

    #[test]
    fn no_reason_is_taken_for_another() {
        for (index, sign) in Sign::ALL.iter().enumerate() {
            let other =
                |(at, other): (usize, &Sign)| at != index && other.as_str().contains(sign.as_str());
            assert!(!Sign::ALL.iter().enumerate().any(other), "{sign}");
        }
    }
}
