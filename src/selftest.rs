//! The self-test: two built-in phones call each other through a second instance of the gateway, and
//! everything that must work (and one thing that must not) is tried for real. It changes nothing of
//! the gateway that serves.

mod ladder;
mod measured;
mod phone;
mod scene;
mod voice;

use crate::driver::audit_log::{Against, verify_path};
use crate::wire::sdp::Sdp;
use crate::wire::sip::{Message, Method};
use phone::{Dialog, Phone, Step, now};
use scene::{LOOPBACK, Scene};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use voice::Heard;

/// How a self-test went.
#[derive(Clone, Debug)]
pub struct Report {
    /// The test call, drawn.
    pub ladder: String,
    /// Each check in words, and whether it held.
    pub checks: Vec<(String, bool)>,
}

impl Report {
    /// True when every check held.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|(_, held)| *held)
    }

    /// One line of verdicts.
    #[must_use]
    pub fn line(&self) -> String {
        let words: Vec<String> = self
            .checks
            .iter()
            .map(|(what, held)| format!("{} {what}", if *held { "ok" } else { "FAILED" }))
            .collect();
        words.join("   ")
    }
}

/// One call with sound, for the start of site mode: about two seconds.
///
/// # Errors
/// In words, what did not work.
pub async fn test_call() -> Result<Report, String> {
    run(false).await
}

/// The call and more: hold and resume, DTMF, a re-INVITE that changes the codec, an injection, a
/// denied call, the audit log. At most ten seconds.
///
/// # Errors
/// In words, what could not even be tried.
pub async fn full() -> Result<Report, String> {
    run(true).await
}

async fn run(full: bool) -> Result<Report, String> {
    let limit = Duration::from_secs(10);
    let mut scene = Scene::set().await?;
    let played = tokio::time::timeout(limit, play(&mut scene, full)).await;
    let folder = scene.end().await;
    let audit = verify_path(&folder.join("audit"), &Against::default());
    let measured = measured::line(&folder.join("audit"));
    let _ = std::fs::remove_dir_all(&folder);
    let mut report = played.map_err(|_| "the self-test took more than 10 s".to_owned())??;
    let (what, held) = match audit {
        Ok(s) => (format!("{} audit records verified", s.records), s.records > 0),
        Err(e) => (format!("audit log: {e}"), false),
    };
    report.checks.push(("call quality measured".to_owned(), measured.is_some()));
    report.checks.push((what, held));
    if let Some(line) = measured {
        report.ladder = format!("{}      {line}\n", report.ladder);
    }
    Ok(report)
}

/// A call that is up.
struct Call {
    caller: Dialog,
    callee: Dialog,
    /// Where each phone was told to send.
    targets: [SocketAddr; 2],
}

async fn play(scene: &mut Scene, full: bool) -> Step<Report> {
    let mut checks = vec![("registered".to_owned(), true)];
    let mut call = connect(scene).await?;
    let packets = if full { 50 } else { 75 };
    let began = now();
    let heard = talk(scene, &call, 0, packets).await?;
    let seconds = began.elapsed().as_secs_f64();
    let enough = |h: &Heard| h.packets > packets * 9 / 10 && h.foreign == 0;
    checks.push(("audio both ways".to_owned(), heard.iter().all(enough)));
    if full {
        more(scene, &mut call, &mut checks).await?;
    }
    hang_up(scene, &mut call).await?;
    let [a, b] = &scene.phones;
    let seen: Vec<_> = a.seen.iter().chain(&b.seen).cloned().collect();
    let ladder = ladder::draw(["101", "102"], &seen, heard, seconds);
    let denied = denied(&mut scene.phones[0]).await?;
    checks.push(("premium number denied by rule".to_owned(), denied));
    Ok(Report { ladder, checks })
}

/// INVITE, 180, 200, ACK.
async fn connect(scene: &mut Scene) -> Step<Call> {
    let [a, b] = &mut scene.phones;
    let offer = scene.voices[0].sdp(LOOPBACK, 0, "sendrecv");
    let (mut caller, _) = a.invite("102", &offer).await?;
    let invite = b.expect_request(&Method::Invite).await?;
    b.answer(&invite, 180, "Ringing", None).await?;
    let answer = scene.voices[1].sdp(LOOPBACK, 0, "sendrecv");
    let callee = b.answer(&invite, 200, "OK", Some(&answer)).await?;
    let ok = a.expect_final(&Method::Invite).await?;
    if ok.status() != 200 {
        return Err(format!("the test call got {}", ok.status()));
    }
    a.confirm(&mut caller, &ok);
    a.within(&mut caller, &Method::Ack, None).await?;
    b.expect_request(&Method::Ack).await?;
    let targets = [target(&ok)?, target(&invite)?];
    if targets.iter().any(|t| scene.voices.iter().any(|v| v.port == t.port())) {
        return Err("media was not anchored at the gateway".to_owned());
    }
    Ok(Call { caller, callee, targets })
}

/// Where a body says that sound goes.
fn target(message: &Message) -> Step<SocketAddr> {
    let sdp = Sdp::parse(message.body()).map_err(|e| e.to_string())?;
    let first = sdp.media().first().and_then(crate::wire::sdp::Media::rtp_target);
    first.ok_or_else(|| "no media target in a body".to_owned())
}

/// Both phones speak and listen.
async fn talk(scene: &mut Scene, call: &Call, payload: u8, packets: u32) -> Step<[Heard; 2]> {
    let [a, b] = &mut scene.voices;
    let (sa, sb) = (a.ssrc(), b.ssrc());
    let limit = Duration::from_millis(u64::from(packets) * 20 + 60);
    let (ea, eb) = (a.twin(), b.twin());
    let said = async {
        tokio::try_join!(
            a.speak(call.targets[0], payload, packets),
            b.speak(call.targets[1], payload, packets)
        )
    };
    let (said, ha, hb) = tokio::join!(said, ea.listen(sb, limit), eb.listen(sa, limit));
    said?;
    Ok([ha, hb])
}

async fn more(scene: &mut Scene, call: &mut Call, checks: &mut Vec<(String, bool)>) -> Step<()> {
    let (b, sa) = (scene.voices[1].twin(), scene.voices[0].ssrc());
    let [voice, _] = &mut scene.voices;
    voice.press(call.targets[0], 5).await?;
    let heard = b.listen(sa, Duration::from_millis(150)).await;
    checks.push(("DTMF by RFC 4733".to_owned(), heard.events == 3));

    checks.push(("injection dropped".to_owned(), injected(scene, call).await?));

    let held = reinvite(scene, call, 0, "sendonly", "recvonly").await?;
    let resumed = reinvite(scene, call, 0, "sendrecv", "sendrecv").await?;
    let heard = talk(scene, call, 0, 15).await?;
    let flows = heard.iter().all(|h| h.packets > 10);
    checks.push(("hold and resume".to_owned(), held && resumed && flows));

    let changed = reinvite(scene, call, 8, "sendrecv", "sendrecv").await?;
    let heard = talk(scene, call, 8, 15).await?;
    let flows = heard.iter().all(|h| h.packets > 10);
    checks.push(("re-INVITE to another codec".to_owned(), changed && flows));
    Ok(())
}

/// A re-INVITE by the caller; the direction must pass in both bodies, our ports must stay.
async fn reinvite(
    scene: &mut Scene,
    call: &mut Call,
    payload: u8,
    offered: &str,
    answered: &str,
) -> Step<bool> {
    let [a, b] = &mut scene.phones;
    let offer = scene.voices[0].sdp(LOOPBACK, payload, offered);
    a.within(&mut call.caller, &Method::Invite, Some(&offer)).await?;
    let invite = b.expect_request(&Method::Invite).await?;
    let answer = scene.voices[1].sdp(LOOPBACK, payload, answered);
    b.answer(&invite, 200, "OK", Some(&answer)).await?;
    let ok = a.expect_final(&Method::Invite).await?;
    a.confirm(&mut call.caller, &ok);
    a.within(&mut call.caller, &Method::Ack, None).await?;
    b.expect_request(&Method::Ack).await?;
    let has = |m: &Message, word: &str| {
        String::from_utf8_lossy(m.body()).contains(&format!("a={word}\r\n"))
    };
    let same = target(&ok)? == call.targets[0] && target(&invite)? == call.targets[1];
    Ok(ok.status() == 200 && has(&invite, offered) && has(&ok, answered) && same)
}

/// A stranger sends RTP at the callee's relay port: none of it may arrive.
async fn injected(scene: &mut Scene, call: &Call) -> Step<bool> {
    let stranger =
        UdpSocket::bind(SocketAddr::new(LOOPBACK, 0)).await.map_err(|e| e.to_string())?;
    let mut packet = [0_u8; 172];
    packet[0] = 0x80;
    packet[8..12].copy_from_slice(&0xbad0_bad0_u32.to_be_bytes());
    for i in 0..40_u8 {
        packet[3] = i;
        for target in call.targets {
            let _ = stranger.send_to(&packet, target).await;
        }
    }
    let heard = talk(scene, call, 0, 10).await?;
    Ok(heard.iter().all(|h| h.foreign == 0 && h.packets > 7))
}

async fn hang_up(scene: &mut Scene, call: &mut Call) -> Step<()> {
    let [a, b] = &mut scene.phones;
    a.within(&mut call.caller, &Method::Bye, None).await?;
    let bye = b.expect_request(&Method::Bye).await?;
    call.callee = b.answer(&bye, 200, "OK", None).await?;
    let ok = a.expect_final(&Method::Bye).await?;
    if ok.status() == 200 { Ok(()) } else { Err(format!("BYE got {}", ok.status())) }
}

/// A call that policy must refuse.
async fn denied(phone: &mut Phone) -> Step<bool> {
    let (_, _) = phone.invite("+19005550100", "").await?;
    let answer = phone.expect_final(&Method::Invite).await?;
    phone.acknowledge(&answer).await?;
    Ok(answer.status() == 403)
}
