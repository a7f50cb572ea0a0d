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

    /// A group's stream has ended. Where what carries it goes on, there is to be another.
    pub async fn renew(&self, group: usize) {
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
