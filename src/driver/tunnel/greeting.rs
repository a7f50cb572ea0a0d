//! The first words of both ends, by a stream of their own: what they call the site, so that a name
//! written differently is told where it was written; and that the head office has believed the
//! site's key, which the site cannot know before.

use super::link::{GROUPS, Stream};
use quinn::{Connection, RecvStream, VarInt};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::timeout;

/// Said within this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Octets of a greeting.
const LONGEST: usize = 1_024;
/// The form of what is spoken.
const VERSION: u32 = 1;
/// Why a connection ends that should not have begun.
const REFUSED: u32 = 4;

/// One end's first words; what it does not know of the other's it passes over.
#[derive(Debug, Serialize, Deserialize)]
struct Greeting {
    version: u32,
    site: String,
}

fn line(site: &str) -> Vec<u8> {
    let greeting = Greeting { version: VERSION, site: site.to_owned() };
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

/// A site's: it is up when the head office has answered.
///
/// # Errors
/// In words: what the head office said instead.
pub(super) async fn begin(connection: &Connection, site: &str) -> Result<Stream, String> {
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
pub(super) async fn answer(connection: &Connection, site: &str) -> Option<Stream> {
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
    if greeting.version != VERSION {
        return refuse("another version of the tunnel's protocol is spoken here");
    }
    if greeting.site != site {
        let why = format!(
            "this key is of site \"{site}\" here, and the site calls itself another: set site = \
             \"{site}\" there, or the name of its [[peer]] here"
        );
        return refuse(&why);
    }
    send.write_all(&line(site)).await.ok()?;
    Some((receive, send))
}
