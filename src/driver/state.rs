//! The state folder: bindings that outlive a restart, sealing keys, the site's password, users.
//! Mode 0700 and 0600 throughout; every error names the file and what to do.

use crate::engine::StoredBinding;
use crate::engine::digest::{Ha1, Users};
use rustix::fs::{FlockOperation, flock};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

/// What went wrong, in words that say what to do.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {what}")]
pub struct StateError {
    /// The file or folder.
    pub path: String,
    /// What, and what to do.
    pub what: String,
    /// True when another process holds the folder.
    pub busy: bool,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
fn fault(path: &Path, e: &io::Error) -> StateError {
    let what = match e.kind() {
        io::ErrorKind::PermissionDenied => format!("{e}; give it to the user that runs portreeve"),
        _ => e.to_string(),
    };
    StateError { path: path.display().to_string(), what, busy: false }
}

/// An open state folder; the lock is held while it lives.
#[derive(Debug)]
pub struct State {
    dir: PathBuf,
    _lock: File,
    journal: File,
    lines: usize,
    /// The last line has no end: a power failure, or a full volume.
    torn: bool,
    live: BTreeMap<String, StoredBinding>,
    tightened: Option<String>,
}

impl State {
    /// Opens (or makes) the folder and reads its bindings. Write permission of others is taken away
    /// where the folder is ours.
    ///
    /// # Errors
    /// Not writable, writable by others and not ours, or held by another instance.
    pub fn open(dir: &Path) -> Result<Self, StateError> {
        let told = |e: io::Error| fault(dir, &e);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(told)?;
        let tightened = tighten(dir)?;
        let lock = lock(dir)?;
        let path = dir.join("bindings.jsonl");
        let (live, lines, torn) = read_journal(&path);
        let journal = append(&path).map_err(|e| fault(&path, &e))?;
        Ok(Self { dir: dir.to_owned(), _lock: lock, journal, lines, torn, live, tightened })
    }

    /// What was done about others' permission to write, for the log.
    #[must_use]
    pub fn tightened(&self) -> Option<&str> {
        self.tightened.as_deref()
    }

    /// Bindings as they were stored.
    #[must_use]
    pub fn bindings(&self) -> Vec<StoredBinding> {
        self.live.values().cloned().collect()
    }

    /// Stores a binding.
    ///
    /// # Errors
    /// The volume is full or gone.
    pub fn store(&mut self, binding: StoredBinding) -> io::Result<()> {
        let line = serde_json::to_string(&binding)? + "\n";
        self.live.insert(binding.key.clone(), binding);
        self.write(&line)
    }

    /// Forgets a binding.
    ///
    /// # Errors
    /// As [`State::store`].
    pub fn remove(&mut self, key: &str) -> io::Result<()> {
        if self.live.remove(key).is_none() {
            return Ok(());
        }
        let line = serde_json::json!({ "removed": key }).to_string() + "\n";
        self.write(&line)
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        if self.torn {
            self.journal.write_all(b"\n")?;
        }
        self.torn = true;
        self.journal.write_all(line.as_bytes())?;
        self.torn = false;
        self.lines += 1;
        if self.lines > 1_000 + 4 * self.live.len() {
            self.compact()?;
        }
        Ok(())
    }

    /// Writes what is live into a new file and puts it in the old one's place.
    fn compact(&mut self) -> io::Result<()> {
        let (path, fresh) = (self.dir.join("bindings.jsonl"), self.dir.join("bindings.new"));
        let mut text = String::new();
        for b in self.live.values() {
            text.push_str(&serde_json::to_string(b)?);
            text.push('\n');
        }
        let mut file =
            OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        self.journal = append(&path)?;
        self.lines = self.live.len();
        Ok(())
    }

    /// Sealing keys, newest first; made at the first start.
    ///
    /// # Errors
    /// The file cannot be read or written, or is no key file.
    pub fn keys(&self) -> Result<Vec<(u8, [u8; 64])>, StateError> {
        let path = self.dir.join("keys");
        if !path.exists() {
            let mut text = String::from("0:");
            for b in random::<64>() {
                let _ = write!(text, "{b:02x}");
            }
            secret(&path, &(text + "\n")).map_err(|e| fault(&path, &e))?;
        }
        private(&path)?;
        let text = fs::read_to_string(&path).map_err(|e| fault(&path, &e))?;
        let keys: Option<Vec<_>> = text.lines().map(key).collect();
        keys.filter(|k| !k.is_empty()).ok_or_else(|| StateError {
            path: path.display().to_string(),
            what: "is no key file; remove it to make a new one (phones must register again)".into(),
            busy: false,
        })
    }
}

/// Who may write into the folder can put keys and bindings of his own there.
fn tighten(dir: &Path) -> Result<Option<String>, StateError> {
    let about = fs::metadata(dir).map_err(|e| fault(dir, &e))?;
    let mode = about.mode() & 0o7777;
    if mode & 0o022 == 0 {
        return Ok(None);
    }
    let kept = mode & !0o022;
    // A sticky folder (/tmp) is meant for everybody: not ours to close, whoever we are.
    let sticky = mode & 0o1000 != 0;
    let own = about.uid() == rustix::process::geteuid().as_raw();
    if own && !sticky && fs::set_permissions(dir, fs::Permissions::from_mode(kept)).is_ok() {
        let dir = dir.display();
        return Ok(Some(format!("{dir}: others could write here (mode {mode:o}); now {kept:o}")));
    }
    let what = format!(
        "others may write here (mode {mode:o}), so the keys are not safe: chmod go-w it, or name a \
         folder inside it, which portreeve makes for itself"
    );
    Err(StateError { path: dir.display().to_string(), what, busy: false })
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn lock(dir: &Path) -> Result<File, StateError> {
    let path = dir.join("lock");
    let open = OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    let mut file = open.map_err(|e| fault(&path, &e))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut pid = String::new();
        let _ = file.read_to_string(&mut pid);
        let what = format!(
            "another portreeve (pid {}) uses this folder; stop it, or give this one its own with --data",
            pid.trim()
        );
        return Err(StateError { path: dir.display().to_string(), what, busy: true });
    }
    let _ = file.set_len(0);
    let _ = file.write_all(std::process::id().to_string().as_bytes());
    Ok(file)
}

/// Live bindings, the number of lines, and whether the last one is torn; a torn or foreign line is
/// skipped.
fn read_journal(path: &Path) -> (BTreeMap<String, StoredBinding>, usize, bool) {
    // Octets, not text: what a power failure left in one line must not cost the others.
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut live = BTreeMap::new();
    let mut lines = 0;
    for line in text.lines() {
        lines += 1;
        if let Ok(b) = serde_json::from_str::<StoredBinding>(line) {
            live.insert(b.key.clone(), b);
        } else if let Ok(v) = serde_json::from_str::<serde_json::Value>(line)
            && let Some(key) = v.get("removed").and_then(serde_json::Value::as_str)
        {
            live.remove(key);
        }
    }
    (live, lines, !text.is_empty() && !text.ends_with('\n'))
}

fn key(line: &str) -> Option<(u8, [u8; 64])> {
    let (id, hex) = line.trim().split_once(':')?;
    let mut key = [0; 64];
    if hex.len() != 128 {
        return None;
    }
    for (i, b) in key.iter_mut().enumerate() {
        *b = u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some((id.parse().ok().filter(|id| *id < 62)?, key))
}

/// Octets from the operating system.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    // Without a random source nothing here is safe to run.
    assert!(getrandom::fill(&mut out).is_ok(), "the operating system gives no random numbers");
    out
}

fn secret(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Shortest password that a site may give all its extensions, in octets.
const SHORTEST: usize = 8;

/// The site's password; made at the first start: two pronounceable words and a number, 48 bits.
///
/// # Errors
/// The file cannot be read or written, or others can read it.
pub fn site_password(path: &Path) -> Result<String, StateError> {
    if !path.exists() {
        if let Some(parent) = path.parent() {
            let make = fs::DirBuilder::new().recursive(true).mode(0o700).create(parent);
            make.map_err(|e| fault(parent, &e))?;
        }
        secret(path, &(new_password() + "\n")).map_err(|e| fault(path, &e))?;
    }
    private(path)?;
    let text = fs::read_to_string(path).map_err(|e| fault(path, &e))?;
    let password = text.trim();
    // A start that was cut short leaves an empty file; nobody may register with no password.
    if password.len() < SHORTEST {
        let what = format!(
            "holds no password of at least {SHORTEST} characters: write one, or remove the file \
             and a new one is made"
        );
        return Err(StateError { path: path.display().to_string(), what, busy: false });
    }
    Ok(password.to_owned())
}

fn new_password() -> String {
    let raw = random::<8>();
    let mut n = u64::from_be_bytes(raw);
    let mut pick = |from: &'static [u8]| {
        let c = from.get(usize::try_from(n % from.len() as u64).unwrap_or(0)).copied();
        n /= from.len() as u64;
        char::from(c.unwrap_or(b'a'))
    };
    let mut word = |out: &mut String| {
        for _ in 0..3 {
            out.push(pick(b"bdfghjklmnprstvz"));
            out.push(pick(b"aeiou"));
        }
    };
    let mut out = String::new();
    word(&mut out);
    out.push('-');
    word(&mut out);
    let digits = u16::from_be_bytes(random::<2>()) % 1000;
    let _ = write!(out, "-{digits:03}");
    out
}

/// Others must not read a file with secrets.
fn private(path: &Path) -> Result<(), StateError> {
    let mode = fs::metadata(path).map_err(|e| fault(path, &e))?.mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let what = format!("others may read this secret (mode {:o}): chmod 600 it", mode & 0o777);
    Err(StateError { path: path.display().to_string(), what, busy: false })
}

/// Users from `user:realm:HA1-MD5[:HA1-SHA-256]` lines, as htdigest writes them.
///
/// # Errors
/// Unreadable, readable by others, or the first line that is broken or made for another realm than
/// `realm`: a hash holds its realm, so nobody could register with it.
pub fn users(path: &Path, realm: &str) -> Result<Users, StateError> {
    private(path)?;
    let text = fs::read_to_string(path).map_err(|e| fault(path, &e))?;
    let mut table = HashMap::new();
    for (i, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.trim().split(':').collect();
        let hex = |at: usize, len: usize| {
            let field = fields.get(at)?;
            let fine = field.len() == len && field.bytes().all(|b| b.is_ascii_hexdigit());
            fine.then(|| field.to_ascii_lowercase())
        };
        let (md5, sha256) = (hex(2, 32), hex(3, 64));
        if fields.len() < 3 || (md5.is_none() && sha256.is_none()) {
            let what = format!("line {}: want user:realm:HA1-MD5[:HA1-SHA-256]", i + 1);
            return Err(StateError { path: path.display().to_string(), what, busy: false });
        }
        if fields[1] != realm {
            let what = format!(
                "line {}: made for the realm \"{}\", but registrar.realm is \"{realm}\": write the \
                 line's realm there, or make the line anew (htdigest FILE {realm} {})",
                i + 1,
                fields[1],
                fields[0]
            );
            return Err(StateError { path: path.display().to_string(), what, busy: false });
        }
        table.insert(fields[0].to_owned(), Ha1 { md5, sha256 });
    }
    Ok(Users::Table(table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::Transport;

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("portreeve-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    fn binding(key: &str) -> StoredBinding {
        StoredBinding {
            key: key.into(),
            aor: "101@x".into(),
            contact: "sip:101@10.0.0.1".into(),
            local: "10.0.0.9:5060".parse().unwrap(),
            transport: Transport::Udp,
            peer: "10.0.0.1:5060".parse().unwrap(),
            source: None,
            expires: 99,
            call_id: "c".into(),
            cseq: 1,
            upstream: String::new(),
            service_route: Vec::new(),
        }
    }

    #[test]
    fn bindings_keys_and_passwords_outlive_a_restart() {
        let dir = folder("state");
        let mut state = State::open(&dir).unwrap();
        let busy = State::open(&dir).unwrap_err();
        assert!(busy.busy && busy.to_string().contains("--data"), "{busy}");
        let keys = state.keys().unwrap();
        for i in 0..3_000 {
            state.store(binding(&format!("k{}", i % 3))).unwrap();
        }
        state.remove("k1").unwrap();
        drop(state);
        let again = State::open(&dir).unwrap();
        let mut names: Vec<String> = again.bindings().into_iter().map(|b| b.key).collect();
        names.sort();
        assert_eq!(names, ["k0", "k2"]);
        assert_eq!(again.keys().unwrap(), keys);
        assert!(again.lines < 1_100);
        let path = dir.join("site-password");
        let password = site_password(&path).unwrap();
        assert_eq!(site_password(&path).unwrap(), password);
        assert!(password.len() >= 15);
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        assert!(site_password(&path).unwrap_err().what.contains("chmod 600"));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn secrets_that_are_none_or_open_to_others_stop_the_start() {
        let dir = folder("secrets");
        let state = State::open(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
        let path = dir.join("site-password");
        for text in ["", "\n", "  \n", "1234567\n"] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .unwrap();
            let told = site_password(&path).unwrap_err();
            assert!(told.what.contains("remove the file"), "{text:?}: {told}");
        }
        fs::write(&path, "12345678\n").unwrap();
        assert_eq!(site_password(&path).unwrap(), "12345678");
        state.keys().unwrap();
        let keys = dir.join("keys");
        assert_eq!(fs::metadata(&keys).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&keys, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        assert!(state.keys().unwrap_err().what.contains("chmod 600"));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_folder_that_others_can_write_is_closed_or_stops_the_start() {
        let dir = folder("open");
        fs::create_dir(&dir).unwrap();
        let open = |mode: u32| {
            fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
            let state = State::open(&dir)?;
            let told = state.tightened().map(|t| t.rsplit("others").next().unwrap().to_owned());
            Ok::<_, StateError>((told, fs::metadata(&dir).unwrap().mode() & 0o7777))
        };
        for (mode, kept) in [(0o777, 0o755), (0o770, 0o750), (0o702, 0o700), (0o2777, 0o2755)] {
            let told = format!(" could write here (mode {mode:o}); now {kept:o}");
            assert_eq!(open(mode).unwrap(), (Some(told), kept));
        }
        for mode in [0o700, 0o755, 0o750] {
            assert_eq!(open(mode).unwrap(), (None, mode));
        }
        let told = open(0o1777).unwrap_err();
        assert_eq!(told.path, dir.display().to_string());
        assert_eq!(
            told.what,
            "others may write here (mode 1777), so the keys are not safe: chmod go-w it, or name a \
             folder inside it, which portreeve makes for itself"
        );
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o7777, 0o1777, "left as it is");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_users_file_of_another_realm_says_which_line_and_what_to_do() {
        let dir = folder("users");
        fs::create_dir(&dir).unwrap();
        let path = dir.join("users");
        let hash = "a".repeat(32);
        let write = |text: String| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            users(&path, "portreeve")
        };
        let read = write(format!("# phones\n101:portreeve:{hash}\n\n102:portreeve:{hash}\n"));
        assert!(matches!(read.unwrap(), Users::Table(t) if t.len() == 2));
        let told = write(format!("101:portreeve:{hash}\n102:asterisk:{hash}\n")).unwrap_err();
        assert_eq!(
            told.what,
            "line 2: made for the realm \"asterisk\", but registrar.realm is \"portreeve\": write \
             the line's realm there, or make the line anew (htdigest FILE portreeve 102)"
        );
        let told = write("101:portreeve:short\n".to_owned()).unwrap_err();
        assert_eq!(told.what, "line 1: want user:realm:HA1-MD5[:HA1-SHA-256]");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_broken_line_of_the_journal_costs_no_other_binding() {
        let dir = folder("journal");
        let mut state = State::open(&dir).unwrap();
        state.store(binding("k0")).unwrap();
        drop(state);
        let path = dir.join("bindings.jsonl");
        let mut journal = append(&path).unwrap();
        journal.write_all(b"\xff\xfe\0\0{\"key\":\n{}\n[1]\n").unwrap();
        let mut state = State::open(&dir).unwrap();
        state.store(binding("k1")).unwrap();
        journal.write_all(b"{\"key\":\"k2").unwrap();
        drop((state, journal));
        let mut state = State::open(&dir).unwrap();
        assert_eq!(state.bindings().len(), 2);
        state.store(binding("k3")).unwrap();
        drop(state);
        assert_eq!(State::open(&dir).unwrap().bindings().len(), 3, "a torn line takes no other");
        fs::remove_dir_all(&dir).unwrap();
    }
}
