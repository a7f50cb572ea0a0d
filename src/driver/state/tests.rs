use super::*;
use crate::driver::clock::Clock;
use crate::engine::digest::Users;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

fn folder(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("portreeve-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    dir
}

#[test]
fn keys_and_passwords_outlive_a_restart_and_a_folder_has_one_owner() {
    let dir = folder("state");
    let state = State::open(&dir, Clock::start()).unwrap();
    let busy = State::open(&dir, Clock::start()).unwrap_err();
    assert!(busy.busy && busy.to_string().contains("--data"), "{busy}");
    let keys = state.keys().unwrap();
    drop(state);
    let again = State::open(&dir, Clock::start()).unwrap();
    assert_eq!(again.keys().unwrap(), keys);
    let path = dir.join("site-password");
    let password = site_password(&path).unwrap();
    assert_eq!(site_password(&path).unwrap(), password);
    assert!(password.len() >= 15);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(site_password(&path).unwrap_err().what.contains("chmod 600"));
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn secrets_that_are_none_or_open_to_others_stop_the_start() {
    let dir = folder("secrets");
    let state = State::open(&dir, Clock::start()).unwrap();
    assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
    let path = dir.join("site-password");
    for text in ["", "\n", "  \n", "1234567\n"] {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
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
        let state = State::open(&dir, Clock::start())?;
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
        "others may write here (mode 1777), so nothing in it is safe: chmod go-w it, or name a \
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
fn the_pages_token_is_made_once_and_is_read_by_its_owner_alone() {
    let dir = folder("page-token");
    let _state = State::open(&dir, Clock::start()).unwrap();
    let token = page_token(&dir).unwrap();
    assert!(token.len() == 32 && page_token(&dir).unwrap() == token);
    let path = dir.join("page-token");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(page_token(&dir).unwrap_err().what.contains("chmod 600"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for text in ["", "short\n", "a token with spaces & signs in it\n"] {
        fs::write(&path, text).unwrap();
        assert!(page_token(&dir).unwrap_err().what.contains("remove it"), "{text:?}");
    }
    fs::remove_dir_all(&dir).unwrap();
}
