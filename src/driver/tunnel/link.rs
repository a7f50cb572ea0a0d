//! One tunnel, whoever began it and whatever carries it now: whom it believes, how it stands, and
//! what it does with a new bearer. It calls nobody and listens nowhere.

mod carries;
mod groups;
mod news;
mod view;

use super::bearer::{Bearer, QUEUE, WINDOW as SENT};
use super::comings::Comings;
use super::greeting::Control;
use super::ledger::Ledger;
use super::media::{Media, Port};
use super::path::Tally;
use super::rate::Rate;
use super::told::{Farewell, Stream};
use super::words;
use crate::audit::TunnelEvent;
use crate::config::{PublicKey, Tunnel};
use crate::ground::Subject;
use news::Noted;
use quinn::{AckFrequencyConfig, TransportConfig};
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep};

/// A connection by which nothing came for so long is none. It is asked for a sign four times as
/// often.
const SILENT: Duration = Duration::from_secs(12);
/// Streams of the other end's that may be open at once: of SIP, and of long packets.
const STREAMS: (u32, u32) = (64, 64);
/// Streams that carry messages, so that one that was lost holds up a part of them only. The site
/// opens them, and says in the first octet which it is.
pub const GROUPS: usize = 4;
/// A bearer that was replaced goes on for so long.
const LEAVES: Duration = Duration::from_secs(2);
/// Connections that a site may try at once beside the one that carries.
const TRIALS: usize = 4;
/// Octets that may wait for one stream's reader, and for all of a tunnel's.
const WINDOW: (u32, u32) = (128 * 1_024, 1 << 20);
/// Packets of media that may wait to be read, in octets: older ones are dropped for new ones.
const READ: usize = 192 * 1_024;
/// The other end acknowledges after so many packets, or after so long: what it sends itself by then
/// takes that along, and a packet for it alone would cost as much as a third of one of speech.
const ACKNOWLEDGED: (u32, Duration) = (10, Duration::from_millis(40));

#[derive(Debug)]
enum Stands {
    Down { since: Instant, why: String },
    Up { since: Instant, bearer: Bearer },
}

/// One tunnel.
#[derive(Debug)]
pub struct Link {
    name: String,
    tunnel: Mutex<Tunnel>,
    follows: AtomicU64,
    media: Arc<Media>,
    /// Taken while a connection sends media.
    sends: tokio::sync::Mutex<()>,
    /// The other end is to be told of the way, by the next packet of media.
    tells: AtomicBool,
    stands: Mutex<Stands>,
    tally: Mutex<Tally>,
    comings: Mutex<Comings>,
    /// Bearers that came, as many as waited or carried.
    arrivals: AtomicU64,
    ledger: Arc<Ledger>,
    noted: Mutex<Noted>,
    /// Since when what goes by its bearer is not acknowledged, as far as a site's end knows.
    silent: Mutex<Option<Instant>>,
    bearer: watch::Sender<Option<(Bearer, PublicKey)>>,
    /// Connections that are tried while another one carries.
    trials: Semaphore,
    /// Streams of the newest bearer, by group.
    groups: [(mpsc::Sender<Stream>, tokio::sync::Mutex<mpsc::Receiver<Stream>>); GROUPS],
}

impl Link {
    /// `ports` counts those of all tunnels: whose a connection by QUIC is, is not known when its
    /// rate is made.
    pub(super) fn new(
        name: &str,
        tunnel: Tunnel,
        ports: Arc<AtomicUsize>,
        ledger: Arc<Ledger>,
    ) -> Self {
        let media = Media::new(tunnel.far(), ports);
        let group = |_| {
            let (opened, accepted) = mpsc::channel(1);
            (opened, tokio::sync::Mutex::new(accepted))
        };
        let why = "not tried yet".to_owned();
        Self {
            name: name.to_owned(),
            tunnel: Mutex::new(tunnel),
            follows: AtomicU64::new(0),
            media: Arc::new(media),
            sends: tokio::sync::Mutex::default(),
            tells: AtomicBool::new(false),
            stands: Mutex::new(Stands::Down { since: Instant::now(), why }),
            tally: Mutex::default(),
            comings: Mutex::default(),
            arrivals: AtomicU64::new(0),
            ledger,
            noted: Mutex::default(),
            silent: Mutex::default(),
            bearer: watch::Sender::new(None),
            trials: Semaphore::new(TRIALS),
            groups: std::array::from_fn(group),
        }
    }

    /// Its interface's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn tunnel(&self) -> MutexGuard<'_, Tunnel> {
        self.tunnel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stands(&self) -> MutexGuard<'_, Stands> {
        self.stands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn comings(&self) -> MutexGuard<'_, Comings> {
        self.comings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What both ends call the site.
    #[must_use]
    pub fn site(&self) -> String {
        self.tunnel().site.clone()
    }

    /// Where this end stands in it.
    #[must_use]
    pub fn own(&self) -> IpAddr {
        self.tunnel().own()
    }

    /// Where the other end does.
    #[must_use]
    pub fn far(&self) -> IpAddr {
        self.tunnel().far()
    }

    /// What the other end proves by its key.
    #[must_use]
    pub fn proof(&self) -> Option<Subject> {
        self.tunnel().proof()
    }

    /// Whether this is the other end's key.
    pub(super) fn believes(&self, key: &PublicKey) -> bool {
        self.tunnel().peer.as_ref() == Some(key)
    }

    /// How often it was told what holds from now on.
    pub(super) fn follows(&self) -> u64 {
        self.follows.load(Relaxed)
    }

    /// The other end's key, as the file has it.
    pub(super) fn peer(&self) -> Option<PublicKey> {
        self.tunnel().peer
    }

    /// From now on this holds.
    pub(super) fn follow(&self, tunnel: &Tunnel) {
        self.follows.fetch_add(1, Relaxed);
        let was = std::mem::replace(&mut *self.tunnel(), tunnel.clone()).peer;
        let bearer = self.bearer.borrow().clone();
        if let Some(was) = was.filter(|_| was != tunnel.peer) {
            let now = if tunnel.peer.is_some() { "another key is" } else { "no key is" };
            let bearer = bearer.as_ref().map(|(bearer, _)| bearer);
            // What came by another key counts no more.
            *self.comings() = Comings::default();
            self.told(TunnelEvent::Revoked, bearer, (&was, format!("{now} believed instead")));
        }
        if !bearer.is_some_and(|(_, key)| self.believes(&key)) {
            self.part(Farewell::Revoked);
        }
    }

    /// Ends what carries it, for it carries no messages.
    pub fn give_up(&self) {
        self.part(Farewell::Still);
    }

    /// Ends what carries it, if anything does.
    pub(super) fn part(&self, farewell: Farewell) {
        let bearer = self.bearer.borrow().clone();
        if let Some((bearer, _)) = bearer {
            bearer.close(farewell);
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A port of the relay's.
    ///
    /// # Errors
    /// It is open already, or there are no more descriptors.
    pub fn port(&self, port: u16) -> io::Result<Port> {
        Port::open(self.media.clone(), port)
    }

    /// There has been no connection for so long.
    #[must_use]
    pub fn is_lost(&self, lasts: Duration) -> bool {
        match &*self.stands() {
            Stands::Down { since, .. } => since.elapsed() >= lasts,
            Stands::Up { .. } => false,
        }
    }

    /// There has been one, the same, for so long.
    #[must_use]
    pub fn is_up_since(&self, lasts: Duration) -> bool {
        match &*self.stands() {
            Stands::Down { .. } => false,
            Stands::Up { since, .. } => since.elapsed() >= lasts,
        }
    }

    /// How its connections behave.
    pub(super) fn transport(&self) -> TransportConfig {
        let (mut t, mut acknowledged) = (TransportConfig::default(), AckFrequencyConfig::default());
        acknowledged
            .ack_eliciting_threshold(ACKNOWLEDGED.0.into())
            .max_ack_delay(Some(ACKNOWLEDGED.1));
        t.max_concurrent_bidi_streams(STREAMS.0.into())
            .max_concurrent_uni_streams(STREAMS.1.into())
            .stream_receive_window(WINDOW.0.into())
            .receive_window(WINDOW.1.into())
            .send_window(SENT)
            .datagram_receive_buffer_size(Some(READ))
            .datagram_send_buffer_size(QUEUE)
            .ack_frequency_config(Some(acknowledged))
            .keep_alive_interval(Some(SILENT / 4))
            // Segments that leave as one burst are lost as one.
            .enable_segmentation_offload(false)
            .congestion_controller_factory(Arc::new(Rate { ports: self.media.open_count() }));
        t.max_idle_timeout(SILENT.try_into().ok());
        t
    }

    /// There is no connection.
    pub(super) fn fails(&self, why: &str) {
        let why = &words::sentences(why);
        let mut stands = self.stands();
        match &mut *stands {
            Stands::Down { why: before, .. } => before.clone_from(why),
            Stands::Up { .. } => {
                *stands = Stands::Down { since: Instant::now(), why: why.clone() };
            }
        }
    }

    /// Whether a connection that may be a trial comes to carry.
    pub(super) async fn tries(&self, control: &mut Control) -> bool {
        if !control.is_trial() {
            return true;
        }
        let Ok(_turn) = self.trials.try_acquire() else { return false };
        control.is_meant().await
    }

    /// Waits for the turn of a bearer; false: it has ended meanwhile, its key is believed no longer
    /// (what carries is not given up for it), or a newer one waits.
    async fn comes(&self, bearer: &Bearer, key: &PublicKey) -> bool {
        let number = self.arrivals.fetch_add(1, Relaxed) + 1;
        loop {
            let farewell = if !self.believes(key) {
                Some(Farewell::Revoked)
            } else if self.arrivals.load(Relaxed) != number {
                Some(Farewell::Replaced)
            } else {
                None
            };
            if let Some(farewell) = farewell {
                bearer.close(farewell);
                return false;
            }
            let wait = self.comings().wait(Instant::now());
            if wait.is_zero() {
                self.comings().comes(Instant::now());
                return true;
            }
            tokio::select! {
                () = sleep(wait) => {}
                _ = bearer.ended() => return false,
            }
        }
    }

    /// Lets a bearer carry until it ends; one that did so before goes on for a moment, for what is
    /// under way. Both ends keep the stream of a greeting open.
    pub(super) async fn carry(&self, bearer: Bearer, key: PublicKey, _control: Option<Control>) {
        if !self.comes(&bearer, &key).await {
            return;
        }
        let before = self.bearer.send_replace(Some((bearer.clone(), key)));
        // The key may have been taken back in between.
        if !self.believes(&key) {
            bearer.close(Farewell::Revoked);
        }
        let was_up = before.is_some();
        self.rises((&bearer, &key), before.as_ref().map(|(before, _)| before));
        if let Some((before, _)) = before {
            if self.comings().replaces(Instant::now()) {
                tracing::warn!(
                    "tunnel {}: its connections replace each other: do two gateways have the key \
                     of its other end? The last came from {}, after {}",
                    self.name,
                    bearer.peer(),
                    before.peer()
                );
            }
            tokio::spawn(async move {
                sleep(LEAVES).await;
                before.close(Farewell::Replaced);
            });
        }
        let (kind, peer) = (bearer.kind(), bearer.peer());
        self.tally().begins(kind, peer, was_up);
        *self.stands() = Stands::Up { since: Instant::now(), bearer: bearer.clone() };
        tracing::info!("tunnel {}: connected to {peer} by {}", self.name, kind.as_str());
        for (group, stream) in bearer.streams(self.opens()).await.unwrap_or_default() {
            self.lend(group, stream).await;
        }
        let why = tokio::select! {
            why = bearer.ended() => why,
            () = self.receive(&bearer) => bearer.ended().await,
            () = self.send(&bearer) => String::new(),
            () = self.look((&bearer, &key)) => String::new(),
        };
        let is_last = self.bearer.send_if_modified(|now| {
            let same = now.as_ref().is_some_and(|(now, _)| now.id() == bearer.id());
            if same {
                *now = None;
            }
            same
        });
        if is_last {
            self.fails(&why);
            self.told(TunnelEvent::Down, Some(&bearer), (&key, why.clone()));
            tracing::warn!("tunnel {}: the connection to {peer} has ended: {why}", self.name);
        }
        self.tally().ended(&bearer.figures());
    }

    pub(super) fn carries(&self) -> &Arc<Media> {
        &self.media
    }
}
