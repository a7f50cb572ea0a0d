//! How a tunnel stands, for who asks. It changes nothing.

use super::{Link, Stands};
use crate::config::End;
use crate::driver::tunnel::path::Known;
use crate::driver::tunnel::told::View;
use std::sync::atomic::Ordering::Relaxed;

/// Why there is no connection where there is no key.
const NOBODY: &str = "no key is believed to be its other end's: nobody is let in";

impl Link {
    /// How it stands.
    #[must_use]
    pub fn view(&self) -> View {
        let (bearer, lasts, why, figures) = match &*self.stands() {
            Stands::Down { since, why } => (None, since.elapsed(), why.clone(), None),
            Stands::Up { since, bearer } => {
                let is = (bearer.kind(), bearer.peer());
                (Some(is), since.elapsed(), String::new(), Some(bearer.figures()))
            }
        };
        let (known, c) = (self.media.known(), &self.media.counts);
        let known = if bearer.is_some() {
            known
        } else {
            Known { theirs: known.theirs, ..Known::default() }
        };
        let media = [&c.sent, &c.received, &c.long, &c.astray, &c.lost, &c.late];
        let tally = self.tally().clone();
        let sums = tally.sums(figures.iter());
        let tunnel = self.tunnel();
        let revoked = tunnel.peer.is_none();
        let why = if revoked { NOBODY.to_owned() } else { why };
        View {
            name: self.name.clone(),
            site: tunnel.site.clone(),
            is_site: matches!(tunnel.end, End::Site { .. }),
            way: tunnel.end.to_string(),
            bearer,
            lasts,
            why,
            revoked,
            trip: figures.and_then(|f| f.trip).or(known.trip),
            jitter: known.jitter,
            clock_ahead: known.ahead,
            sent: sums.packets,
            received: known.theirs,
            octets: sums.octets,
            connections: tally.connections,
            moves: tally.moves,
            media: media.map(|count| count.load(Relaxed)),
            is_moving: self.is_moving(),
        }
    }
}
