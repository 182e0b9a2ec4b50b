//! Basic authentication.
//!
//! Flows in: bcrypt hashes by user; a request's `Authorization`. Flows out: an outcome. Invariants: an unknown user costs
//! as much time as a known one; bcrypt runs off the async threads, one at a time, which is also the limit on guessing;
//! passwords are kept only as salted digests.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::header::{AUTHORIZATION, HeaderMap};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Rejected credentials that are remembered, so that one misconfigured client does not keep a core busy.
const REMEMBERED_REJECTIONS: usize = 256;
/// Credentials that may wait for their turn; more are turned away, so that nobody waits long.
const MOST_WAITING: usize = 32;

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum AuthOutcome {
    /// Answer it.
    Allowed,
    /// No credentials, or wrong ones.
    Denied,
    /// Too many credentials wait to be checked.
    Busy,
}

type Key = [u8; 32];

/// Users and their hashes.
pub(super) struct Passwords {
    users: BTreeMap<String, String>,
    /// Compared with when the user is unknown. No password fits it.
    nobody: String,
    salt: [Uuid; 2],
    known: Mutex<Known>,
    turn: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Credentials that were checked before.
#[derive(Default)]
struct Known {
    /// At most one for each user, as a hash fits one password (or several that begin with the same 72 bytes).
    accepted: HashSet<Key>,
    rejected: VecDeque<Key>,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Passwords").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Passwords {
    pub(super) fn new(users: BTreeMap<String, String>) -> Passwords {
        let costs = users.values().filter_map(|hash| bcrypt::HashParts::from_str(hash).ok());
        let cost = costs.map(|parts| parts.get_cost()).max().unwrap_or(bcrypt::DEFAULT_COST);
        Passwords {
            users,
            // A salt and a hash of zeros.
            nobody: format!("$2b${cost:02}${}", ".".repeat(53)),
            salt: [Uuid::new_v4(), Uuid::new_v4()],
            known: Mutex::default(),
            turn: Arc::new(Semaphore::new(1)),
            waiting: AtomicUsize::new(0),
        }
    }

    pub(super) async fn validate(&self, headers: &HeaderMap) -> AuthOutcome {
        let Some((user, password)) = credentials(headers) else { return AuthOutcome::Denied };
        let key = self.key(&user, &password);
        if let Some(outcome) = self.remembered(&key) {
            return outcome;
        }
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= MOST_WAITING {
            drop(Waiting(&self.waiting));
            return AuthOutcome::Busy;
        }
        let _waiting = Waiting(&self.waiting);
        let Ok(turn) = Arc::clone(&self.turn).acquire_owned().await else { return AuthOutcome::Busy };
        // The one before may have asked for the same.
        if let Some(outcome) = self.remembered(&key) {
            return outcome;
        }
        let known = self.users.get(&user);
        let hash = known.unwrap_or(&self.nobody).clone();
        let fits = tokio::task::spawn_blocking(move || {
            // Held here: a client that goes away must not let the next one in while this still computes.
            let _turn = turn;
            bcrypt::verify(&password, &hash).unwrap_or(false)
        });
        let fits = fits.await.unwrap_or(false) && known.is_some();
        let mut memory = self.memory();
        if fits {
            // Passwords beyond 72 bytes can differ and fit; do not let them pile up.
            if memory.accepted.len() >= REMEMBERED_REJECTIONS.max(2 * self.users.len()) {
                memory.accepted.clear();
            }
            memory.accepted.insert(key);
            return AuthOutcome::Allowed;
        }
        if memory.rejected.len() >= REMEMBERED_REJECTIONS {
            memory.rejected.pop_front();
        }
        memory.rejected.push_back(key);
        AuthOutcome::Denied
    }

    fn memory(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looked up by a digest whose salt nobody knows, so the time that it takes tells nothing.
    fn remembered(&self, key: &Key) -> Option<AuthOutcome> {
        let memory = self.memory();
        if memory.accepted.contains(key) {
            return Some(AuthOutcome::Allowed);
        }
        memory.rejected.contains(key).then_some(AuthOutcome::Denied)
    }

    fn key(&self, user: &str, password: &[u8]) -> Key {
        let mut digest = Sha256::new();
        for salt in &self.salt {
            digest.update(salt.as_bytes());
        }
        // The length keeps "ab" + "c" and "a" + "bc" apart.
        digest.update((user.len() as u64).to_le_bytes());
        digest.update(user.as_bytes());
        digest.update(password);
        digest.finalize().into()
    }
}

fn credentials(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (user, password) = decoded.split_at(colon);
    Some((String::from_utf8(user.to_vec()).ok()?, password.get(1..)?.to_vec()))
}
