//! Is the upstream there? An OPTIONS every `upstream.probe`, and what came of it: any answer means
//! up (RFC 3261 §11 asks for no particular one). It changes no route; metrics and the log tell.

use super::{Engine, Level, TimerKey};
use crate::wire::sip::{Message, Method, Name};

impl Engine {
    /// Sends a probe and arms the next.
    pub(crate) fn probe(&mut self, index: usize) {
        let Some(upstream) = self.upstream(index).cloned() else { return };
        let Some(every) = upstream.probe else { return };
        self.timers.set(TimerKey::Probe(index), self.now.mono + every);
        let waiting = self.probes.values().any(|i| *i == index);
        let Some(flow) = self.net.towards(&upstream).filter(|_| !waiting) else { return };
        let branch = format!("z9hG4bK{}.own", self.random.name());
        let us = self.net.uri(flow.listener, None);
        let tag = self.random.name();
        let call_id = self.random.name();
        let mut request = Message::request(Method::Options, &format!("sip:{}", upstream.domain));
        request.push_back(Name::Via, self.via(flow.listener, &branch));
        request.push_back(Name::MaxForwards, "70");
        request.push_back(Name::From, format!("<{us}>;tag={tag}"));
        request.push_back(Name::To, format!("<sip:{}>", upstream.domain));
        request.push_back(Name::CallId, call_id);
        request.push_back(Name::CSeq, "1 OPTIONS");
        request.push_back(Name::Contact, format!("<{us}>"));
        let id = self.forward(request, branch, flow, None);
        self.probes.insert(id, index);
    }

    /// A request of our own had an answer, or none will come. Not a probe: nothing.
    pub(crate) fn probed(&mut self, client: u64, answered: bool) {
        let Some(index) = self.probes.remove(&client) else { return };
        let Some(name) = self.upstream(index).map(|u| u.name.clone()) else { return };
        // More upstreams than labels: the log tells of the others.
        let Some(state) = self.stats.upstreams.get_mut(&name) else { return };
        let before = state.up.replace(answered);
        state.probes[usize::from(!answered)] += 1;
        match (before, answered) {
            (Some(true) | None, false) => self.notice(
                Level::Warn,
                format!("upstream {name} does not answer OPTIONS: is its address right, is it up?"),
            ),
            (Some(false), true) => {
                self.notice(Level::Info, format!("upstream {name} answers again"));
            }
            (Some(true) | None, true) | (Some(false), false) => {}
        }
    }
}
