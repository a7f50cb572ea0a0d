//! The first words of both ends, by a stream of their own: what they call the site, so that a name
//! written differently is told where it was written; and that the head office has believed the
//! site's key, which the site cannot know before.

use super::link::GROUPS;
use super::words::{self, Sign};
use quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::{Instant, interval, timeout};

/// Said within this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Octets of a greeting.
pub(super) const LONGEST: usize = 1_024;
/// The stream of a greeting, which both ends keep open.
#[derive(Debug)]
pub(super) struct Control {
    receive: RecvStream,
    send: SendStream,
    /// It may come to nothing: the site says when it is meant.
    is_trial: bool,
}

/// Octets of a sign in a trial, about a packet of speech, and how often one goes.
const SIGN: usize = 160;
const SIGNS: Duration = Duration::from_millis(100);
/// Their first octets: is anybody there, and what carries the tunnel from now on is this.
const ASKS: u8 = b'?';
const MEANS: u8 = b'!';
/// A trial is over by then, whatever is said in it.
const TRIAL: Duration = Duration::from_secs(60);
/// The form of what is spoken.
const VERSION: u32 = 1;
/// Why a connection ends that should not have begun.
const REFUSED: u32 = 4;

/// One end's first words; what it does not know of the other's it passes over.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Greeting {
    pub(super) version: u32,
    pub(super) site: String,
    /// By TCP: which tunnel's connection this is, and which of them.
    pub(super) number: u64,
    pub(super) member: usize,
    /// By QUIC: another bearer carries, and goes on doing so until the site means this one.
    pub(super) trial: bool,
    /// Why there will be none.
    pub(super) refused: Option<String>,
}

impl Greeting {
    pub(super) fn new(site: &str) -> Self {
        Self { version: VERSION, site: site.to_owned(), ..Self::default() }
    }

    /// Why a site that says this is not let in, which is `site` here; `None`: it is.
    pub(super) fn refusal(&self, site: &str) -> Option<String> {
        if self.version != VERSION {
            return Some(words::bare(Sign::Version, ""));
        }
        (self.site != site).then(|| {
            let name = words::bare(Sign::Site, "");
            format!(
                "this key is of site \"{site}\" here, and {name} (site = \"{site}\" there, or the \
                 name of its [[peer]] here)"
            )
        })
    }
}

fn line(site: &str, trial: bool) -> Vec<u8> {
    let greeting = Greeting { trial, ..Greeting::new(site) };
    let mut line = serde_json::to_vec(&greeting).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Reads to the end of a line, and no further.
async fn read(from: &mut RecvStream) -> Option<Greeting> {
    let mut line = Vec::new();
    let mut octet = [0];
    while line.len() < LONGEST {
        from.read_exact(&mut octet).await.ok()?;
        if octet == *b"\n" {
            return serde_json::from_slice(&line).ok();
        }
        line.push(octet[0]);
    }
    None
}

/// A site's: it is up when the head office has answered, and carries unless it is a `trial`.
///
/// # Errors
/// What the head office said instead; `None`: nothing.
pub(super) async fn begin(
    connection: &Connection,
    site: &str,
    trial: bool,
) -> Result<Control, Option<ConnectionError>> {
    let said = async {
        let (mut send, mut receive) = connection.open_bi().await.ok()?;
        let name = u8::try_from(GROUPS).ok()?;
        send.write_all(&[name]).await.ok()?;
        send.write_all(&line(site, trial)).await.ok()?;
        let _ = read(&mut receive).await?;
        Some(Control { receive, send, is_trial: trial })
    };
    let stream = timeout(PATIENCE, said).await.ok().flatten();
    stream.ok_or_else(|| connection.close_reason())
}

/// A head office's: `None`: it was refused, and told why.
pub(super) async fn answer(connection: &Connection, site: &str) -> Option<Control> {
    let heard = async {
        let (send, mut receive) = connection.accept_bi().await.ok()?;
        let mut name = [0];
        receive.read_exact(&mut name).await.ok()?;
        let is_first = usize::from(name[0]) == GROUPS;
        let greeting = if is_first { read(&mut receive).await } else { None };
        Some((greeting?, (receive, send)))
    };
    let refuse = |why: &str| {
        connection.close(VarInt::from_u32(REFUSED), why.as_bytes());
        None
    };
    let Some((greeting, (receive, mut send))) = timeout(PATIENCE, heard).await.ok().flatten()
    else {
        return refuse("no greeting");
    };
    if let Some(why) = greeting.refusal(site) {
        return refuse(&why);
    }
    send.write_all(&line(site, greeting.trial)).await.ok()?;
    Some(Control { receive, send, is_trial: greeting.trial })
}

impl Control {
    pub(super) fn is_trial(&self) -> bool {
        self.is_trial
    }

    /// A site's: asks for signs as long as the trial `lasts`, which is longer than a way takes to
    /// be taken for silent. False: one did not come.
    pub(super) async fn carries_for(&mut self, lasts: Duration) -> bool {
        let over = Instant::now() + lasts;
        let mut turns = interval(SIGNS);
        while Instant::now() < over {
            turns.tick().await;
            if !self.sign(ASKS).await {
                return false;
            }
        }
        true
    }

    /// A site's: from now on this one carries. False: it is not known whether the other end thinks
    /// so, and it is not to be used.
    pub(super) async fn is_taken(&mut self) -> bool {
        !self.is_trial || self.sign(MEANS).await
    }

    async fn sign(&mut self, kind: u8) -> bool {
        let mut octets = [kind; SIGN];
        let answered = async {
            self.send.write_all(&octets).await.ok()?;
            self.receive.read_exact(&mut octets).await.ok()
        };
        matches!(timeout(PATIENCE, answered).await, Ok(Some(())))
    }

    /// A head office's: answers the signs of a trial until the site means this connection. False:
    /// it never did.
    pub(super) async fn is_meant(&mut self) -> bool {
        let answers = async {
            let mut octets = [0; SIGN];
            loop {
                self.receive.read_exact(&mut octets).await.ok()?;
                self.send.write_all(&octets).await.ok()?;
                if octets[0] == MEANS {
                    return Some(());
                }
            }
        };
        matches!(timeout(TRIAL, answers).await, Ok(Some(())))
    }
}
