//! What phones call themselves (User-Agent) when they register, for readers: remembered between
//! a REGISTER and the binding that it makes, which an upstream may have to grant first. Anybody may
//! write anything there: it is shown, and nothing follows from it.

use crate::engine::Input;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

/// Sources that are remembered; the oldest gives way.
const SOURCES: usize = 4_096;
/// Longest name, in octets.
const NAME: usize = 96;

/// What those who asked last call themselves.
#[derive(Debug, Default)]
pub(super) struct Agents {
    names: HashMap<SocketAddr, Box<str>>,
    order: VecDeque<SocketAddr>,
}

impl Agents {
    /// An input is about to be handled.
    pub(super) fn hear(&mut self, input: &Input) {
        let Input::Message { flow, bytes } = input else { return };
        let Some(name) = bytes.starts_with(b"REGISTER ").then(|| agent(bytes)).flatten() else {
            return;
        };
        if self.names.insert(flow.peer, name.into()).is_none() {
            self.order.push_back(flow.peer);
        }
        while self.order.len() > SOURCES {
            let oldest = self.order.pop_front();
            oldest.and_then(|at| self.names.remove(&at));
        }
    }

    /// What who registers from there calls himself; `None`: not known.
    pub(super) fn of(&self, source: SocketAddr) -> Option<&str> {
        self.names.get(&source).map(AsRef::as_ref)
    }
}

/// The value of the first `User-Agent` of a head.
fn agent(bytes: &[u8]) -> Option<&str> {
    let mut lines = bytes.split(|b| *b == b'\n').take_while(|line| !matches!(line, [] | [b'\r']));
    let value = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(line.iter().position(|b| *b == b':')?)?;
        name.trim_ascii().eq_ignore_ascii_case(b"user-agent").then(|| value.get(1..)).flatten()
    })?;
    let value = std::str::from_utf8(value).ok()?.trim();
    let end = (0..=value.len().min(NAME)).rev().find(|at| value.is_char_boundary(*at))?;
    value.get(..end).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::{Flow, ListenerId, Transport};
    use bytes::Bytes;

    fn register(peer: u16, head: &str) -> Input {
        let flow = Flow {
            listener: ListenerId(0),
            transport: Transport::Udp,
            peer: SocketAddr::from(([10, 0, 0, 1], peer)),
            conn: None,
            upstream: None,
        };
        Input::Message { flow, bytes: Bytes::from(format!("REGISTER sip:x SIP/2.0\r\n{head}\r\n")) }
    }

    #[test]
    fn the_name_is_that_of_the_header_bounded_and_only_of_who_registers() {
        let mut agents = Agents::default();
        let at = |port| SocketAddr::from(([10, 0, 0, 1], port));
        agents.hear(&register(1, "Via: x\r\nuser-agent : Linphone/5.2\r\n"));
        assert_eq!(agents.of(at(1)), Some("Linphone/5.2"));
        agents.hear(&register(2, "Via: x\r\n\r\nUser-Agent: in a body\r\n"));
        assert_eq!(agents.of(at(2)), None);
        agents.hear(&register(3, &format!("User-Agent: {}\r\n", "ä".repeat(500))));
        assert_eq!(agents.of(at(3)).map(str::len), Some(NAME));
        for port in 10..u16::try_from(SOURCES).unwrap() + 20 {
            agents.hear(&register(port, "User-Agent: x\r\n"));
        }
        assert_eq!((agents.of(at(1)), agents.names.len()), (None, SOURCES));
        assert_eq!(agents.order.len(), SOURCES);
    }
}
