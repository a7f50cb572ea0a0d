//! The streams of a tunnel that carry messages, by group. The site opens them and says in the first
//! octet which it is; one that has ended alone is opened anew. They are handed to whoever carries
//! messages: nothing is read of them here but that octet.

use super::{GROUPS, Link};
use crate::config::End;
use crate::driver::tunnel::told::Stream;
use quinn::Connection;
use std::time::Duration;
use tokio::time::timeout;

/// That octet comes at once, or never.
const NAMED: Duration = Duration::from_secs(5);

impl Link {
    /// The next stream of a group. `None`: there will be none.
    pub async fn stream(&self, group: usize) -> Option<Stream> {
        self.groups.get(group)?.1.lock().await.recv().await
    }

    /// A group's stream has ended. Where what carries it goes on, there is to be another. One that
    /// waits already is of a newer bearer, which has done nothing wrong.
    pub async fn renew(&self, group: usize) {
        if self.groups.get(group).is_some_and(|(opened, _)| opened.capacity() == 0) {
            return;
        }
        let opens = self.opens();
        let bearer = self.bearer.borrow().as_ref().map(|(bearer, _)| bearer.clone());
        let Some(bearer) = bearer else { return };
        if let Ok(Some(stream)) = timeout(NAMED, bearer.renewed(opens, group)).await {
            self.lend(group, stream).await;
        }
    }

    /// This end opens its streams.
    pub(super) fn opens(&self) -> bool {
        matches!(self.tunnel().end, End::Site { .. })
    }

    /// Whoever carries messages takes it; one that nobody has taken yet is of an older bearer.
    pub(super) async fn lend(&self, group: usize, stream: Stream) {
        if let Some((opened, _)) = self.groups.get(group) {
            let _ = timeout(NAMED, opened.send(stream)).await;
        }
    }

    /// Streams of the site's; of a head office's there are none. Another one of a group stands for
    /// one that has ended.
    pub(super) async fn accept(&self, connection: &Connection) {
        let mut known = [false; GROUPS];
        while let Ok((send, mut receive)) = connection.accept_bi().await {
            let mut name = [0];
            let named = timeout(NAMED, receive.read_exact(&mut name)).await;
            if matches!(named, Ok(Ok(()))) {
                let (group, stream) = (usize::from(name[0]), Stream::new(receive, send));
                let Some(known) = known.get_mut(group) else { continue };
                let is_again = std::mem::replace(known, true);
                self.lend(group, if is_again { stream.again() } else { stream }).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment, PublicKey};
    use crate::driver::tunnel::bearer::Bearer;
    use crate::driver::tunnel::by_tcp::ByTcp;
    use crate::driver::tunnel::ledger::Ledger;
    use std::sync::Arc;

    const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

    fn link() -> Link {
        let text = format!(
            "[[interface]]\nname = \"lan\"\nside = \"inside\"\naddress = \"10.17.0.1\"\n\
             [[interface]]\nname = \"office\"\nside = \"outside\"\nlink = \"tunnel\"\n\
             connect = \"192.0.2.1:443\"\npeer_key = \"{KEY}\"\n[[upstream]]\nname = \"pbx\"\n\
             domain = \"pbx.test\"\n[site]\nname = \"berlin\"\n"
        );
        let c = Config::parse("t", &text, &Environment::default()).unwrap();
        let tunnel = c.interfaces[1].link.tunnel().unwrap().clone();
        Link::new("office", tunnel, Arc::default(), Ledger::unread())
    }

    #[tokio::test]
    async fn a_stream_of_an_older_bearer_that_ends_does_not_end_the_newer_one() {
        let link = link();
        let tcp = Arc::new(ByTcp::new(1, "192.0.2.1:443".parse().unwrap()));
        let key = PublicKey::parse(KEY).unwrap();
        link.bearer.send_replace(Some((Bearer::Tcp(tcp.clone()), key)));
        for (group, stream) in tcp.streams() {
            link.lend(group, stream).await;
        }
        link.renew(0).await;
        assert!(timeout(Duration::from_millis(1), tcp.ended()).await.is_err(), "it carries on");
        // One of its own is another matter.
        assert!(link.stream(0).await.is_some());
        link.renew(0).await;
        assert_eq!(tcp.ended().await, "messages stand still there");
    }
}
