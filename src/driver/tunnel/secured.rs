//! One TCP connection of a tunnel and what is said first by it: TLS 1.3, then a greeting that says
//! which tunnel it is of and which of its connections.

use super::greeting::{Greeting, LONGEST};
use super::words::{self, Sign};
use crate::config::PublicKey;
use crate::wire::tunnel::{Capsule, Capsules};
use socket2::SockRef;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Said within this.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the kernel holds that it has not sent.
const AHEAD: u32 = 4 * 1_024;
/// What the other end's kernel does not acknowledge for so long ends the connection.
const GONE: Duration = Duration::from_secs(12);

/// What the kernel does with it.
pub(super) fn set_up(stream: &TcpStream, dscp: u8) {
    // Best effort.
    let socket = SockRef::from(stream);
    let _ = stream.set_nodelay(true);
    let _ = socket.set_tcp_notsent_lowat(AHEAD);
    let _ = socket.set_tcp_user_timeout(Some(GONE));
    let tos = u32::from(dscp & 0x3f) << 2;
    let _ = if stream.local_addr().is_ok_and(|at| at.is_ipv4()) {
        socket.set_tos_v4(tos)
    } else {
        socket.set_tclass_v6(tos)
    };
}

/// Says something, and waits for what the other end says.
///
/// # Errors
/// In words.
pub(super) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    own: &Greeting,
) -> Result<Greeting, String> {
    say(stream, own).await?;
    let heard = hear(stream).await?;
    match heard.refused {
        Some(why) => Err(words::sentences(&why)),
        None => Ok(heard),
    }
}

/// Says it.
///
/// # Errors
/// In words.
pub(super) async fn say<S: AsyncWrite + Unpin>(
    stream: &mut S,
    own: &Greeting,
) -> Result<(), String> {
    let text = serde_json::to_vec(own).unwrap_or_default();
    let said = async {
        stream.write_all(&Capsule::Greeting(text.into()).write()).await?;
        stream.flush().await
    };
    let said = timeout(PATIENCE, said).await;
    said.map_err(|_| words::bare(Sign::Lost, ""))?.map_err(|e| words::ended(&e))
}

/// Hears it, octet by octet, so that nothing of what follows is taken.
///
/// # Errors
/// In words.
pub(super) async fn hear<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Greeting, String> {
    let mut capsules = Capsules::default();
    let heard = async {
        for _ in 0..LONGEST {
            let octet = stream.read_u8().await.map_err(|e| words::ended(&e))?;
            capsules.push(&[octet]);
            match capsules.next() {
                Ok(None) => {}
                Ok(Some(Capsule::Greeting(text))) => {
                    return serde_json::from_slice(&text)
                        .map_err(|_| words::bare(Sign::NoGateway, ""));
                }
                Ok(Some(_)) | Err(_) => break,
            }
        }
        Err(words::bare(Sign::NoGateway, ""))
    };
    timeout(PATIENCE, heard).await.map_err(|_| words::bare(Sign::NoGateway, ""))?
}

/// The key that the other end has proved.
pub(super) fn proved(shown: Option<&[rustls::pki_types::CertificateDer<'_>]>) -> Option<PublicKey> {
    super::key::public(shown?.first()?)
}
