//! Who changes something by the command line.

/// Characters of a name, at most.
const LONGEST: usize = 64;

/// The person: who became another user by sudo, else the user's own name.
pub(super) fn actor() -> String {
    let sudo = std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty());
    let uid = nix::unistd::getuid();
    let own = || nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
    let name = sudo.or_else(own).unwrap_or_else(|| format!("uid {uid}"));
    name.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}
