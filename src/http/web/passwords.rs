//! Basic authentication.
//!
//! Flows in: bcrypt hashes by user; a request's `Authorization` and the address it comes from. Flows out: an outcome.
//! Invariants: an unknown user costs as much time as a known one; bcrypt runs off the async threads, one at a time, which
//! is also the limit on guessing; those who have guessed wrong wait for those who have not, so that nobody who guesses keeps
//! others waiting; passwords are kept only as salted digests.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, HeaderMap};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, oneshot};
use uuid::Uuid;

/// Results that are remembered, so that a client's scrapes cost one check and one misconfigured client keeps no core busy.
const MOST_REMEMBERED: u64 = 1_024;
/// How long an accepted credential is remembered.
const ACCEPTED_FOR: Duration = Duration::from_secs(3_600);
/// How long a rejected one is.
const REJECTED_FOR: Duration = Duration::from_secs(600);
/// Credentials of one address that may wait; more are turned away.
const MOST_OF_ADDRESS: usize = 4;
/// Addresses that may wait at the same time.
const MOST_ADDRESSES: usize = 128;
/// How long an address that sends nothing is remembered.
const ADDRESS_IDLE: Duration = Duration::from_secs(60);

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum AuthOutcome {
    /// Answer it.
    Allowed,
    /// No credentials, or wrong ones.
    Denied,
    /// Too many credentials wait to be checked.
    Busy,
    /// Too many requests.
    TooMany,
}

type Key = [u8; 32];

/// Users and their hashes.
pub(super) struct Passwords {
    users: BTreeMap<String, String>,
    /// Compared with when the user is unknown. No password fits it.
    nobody: String,
    salt: [Uuid; 2],
    accepted: Cache<Key, ()>,
    rejected: Cache<Key, ()>,
    addresses: Cache<IpAddr, Arc<Address>>,
    queue: Arc<Mutex<Queue>>,
}

/// An address that sends credentials.
struct Address {
    turn: Semaphore,
    waiting: AtomicUsize,
    /// Checks of it that found a wrong password.
    wrong: AtomicUsize,
}

impl Default for Address {
    fn default() -> Address {
        Address { turn: Semaphore::new(1), waiting: AtomicUsize::new(0), wrong: AtomicUsize::new(0) }
    }
}

impl Address {
    /// A place among the credentials of this address, unless too many wait.
    fn enter(&self) -> Option<Waiting<'_>> {
        let waiting = self.waiting.fetch_add(1, Ordering::AcqRel);
        let place = Waiting(self);
        (waiting < MOST_OF_ADDRESS).then_some(place)
    }
}

/// A place that is given back on drop.
struct Waiting<'a>(&'a Address);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Who waits for the one check at a time: first who has guessed wrong the least, of these who came last.
#[derive(Default)]
struct Queue {
    is_checking: bool,
    arrivals: u64,
    waiting: BTreeMap<(usize, Reverse<u64>), oneshot::Sender<Turn>>,
}

impl Queue {
    /// The turn, once it comes. An error if others that go first fill all places.
    fn enter(queue: &Arc<Mutex<Queue>>, wrong: usize) -> oneshot::Receiver<Turn> {
        let (give, turn) = oneshot::channel();
        let mut this = queue.lock().unwrap_or_else(PoisonError::into_inner);
        this.arrivals += 1;
        let place = (wrong, Reverse(this.arrivals));
        this.waiting.insert(place, give);
        let last = if this.waiting.len() > MOST_ADDRESSES { this.waiting.pop_last() } else { None };
        let is_checking = std::mem::replace(&mut this.is_checking, true);
        drop(this);
        drop(last);
        if !is_checking {
            drop(Turn(Arc::clone(queue)));
        }
        turn
    }
}

/// The right to check; the next has it on drop.
struct Turn(Arc<Mutex<Queue>>);

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = queue.waiting.pop_first();
        queue.is_checking = next.is_some();
        drop(queue);
        if let Some((_, next)) = next {
            // If it has gone away, the turn comes back, and its drop goes on to the one after.
            drop(next.send(Turn(Arc::clone(&self.0))));
        }
    }
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Passwords").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

fn remember(lifetime: Duration) -> Cache<Key, ()> {
    let bounded = Cache::builder().max_capacity(MOST_REMEMBERED).eviction_policy(EvictionPolicy::lru());
    bounded.time_to_live(lifetime).build()
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
            accepted: remember(ACCEPTED_FOR),
            rejected: remember(REJECTED_FOR),
            addresses: Cache::builder().max_capacity(MOST_REMEMBERED).time_to_idle(ADDRESS_IDLE).build(),
            queue: Arc::default(),
        }
    }

    /// Whether both let in the same users with the same passwords.
    pub(super) fn has_the_users_of(&self, other: &Passwords) -> bool {
        self.users == other.users
    }

    pub(super) async fn validate(&self, headers: &HeaderMap, from: IpAddr) -> AuthOutcome {
        let Some((user, password)) = credentials(headers) else { return AuthOutcome::Denied };
        let key = self.key(&user, &password);
        if let Some(outcome) = self.remembered(&key) {
            return outcome;
        }
        let address = self.addresses.get_with(from, Arc::default);
        let Some(_waiting) = address.enter() else { return AuthOutcome::Busy };
        let Ok(_first) = address.turn.acquire().await else { return AuthOutcome::Busy };
        let turn = Queue::enter(&self.queue, address.wrong.load(Ordering::Acquire)).await;
        let Ok(turn) = turn else { return AuthOutcome::Busy };
        // The one before may have asked for the same.
        if let Some(outcome) = self.remembered(&key) {
            return outcome;
        }
        let known = self.users.get(&user);
        let (is_known, hash) = (known.is_some(), known.unwrap_or(&self.nobody).clone());
        let (accepted, rejected, address) = (self.accepted.clone(), self.rejected.clone(), Arc::clone(&address));
        // To its end, and with what it found remembered, also if the client goes away meanwhile.
        let fits = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let fits = bcrypt::verify(&password, &hash).unwrap_or(false) && is_known;
            if fits {
                accepted.insert(key, ());
            } else {
                address.wrong.fetch_add(1, Ordering::AcqRel);
                rejected.insert(key, ());
            }
            fits
        });
        if fits.await.unwrap_or(false) { AuthOutcome::Allowed } else { AuthOutcome::Denied }
    }

    /// Looked up by a digest whose salt nobody knows, so the time that it takes tells nothing.
    fn remembered(&self, key: &Key) -> Option<AuthOutcome> {
        if self.accepted.get(key).is_some() {
            return Some(AuthOutcome::Allowed);
        }
        self.rejected.get(key).map(|()| AuthOutcome::Denied)
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
