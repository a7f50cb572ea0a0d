//! The first words of both ends, by a stream of their own: what they call the site, so that a name
//! written differently is told where it was written; and that the head office has believed the
//! site's key, which the site cannot know before.

use super::link::GROUPS;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::timeout;

/// Said within this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Octets of a greeting.
pub(super) const LONGEST: usize = 1_024;
/// The stream of a greeting, which both ends keep open.
pub(super) type Control = (RecvStream, SendStream);
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
            return Some("another version of the tunnel's protocol is spoken here".to_owned());
        }
        (self.site != site).then(|| {
            format!(
                "this key is of site \"{site}\" here, and the site calls itself another: set \
                 site = \"{site}\" there, or the name of its [[peer]] here"
            )
        })
    }
}

fn line(site: &str) -> Vec<u8> {
    let mut line = serde_json::to_vec(&Greeting::new(site)).unwrap_or_default();
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

/// A site's: it is up when the head office has answered.
///
/// # Errors
/// In words: what the head office said instead.
pub(super) async fn begin(connection: &Connection, site: &str) -> Result<Control, String> {
    let said = async {
        let (mut send, mut receive) = connection.open_bi().await.ok()?;
        let name = u8::try_from(GROUPS).ok()?;
        send.write_all(&[name]).await.ok()?;
        send.write_all(&line(site)).await.ok()?;
        let _ = read(&mut receive).await?;
        Some((receive, send))
    };
    let stream = timeout(PATIENCE, said).await.ok().flatten();
    stream.ok_or_else(|| match connection.close_reason() {
        Some(why) => why.to_string(),
        None => "the other end says nothing that a gateway would".to_owned(),
    })
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
    send.write_all(&line(site)).await.ok()?;
    Some((receive, send))
}
