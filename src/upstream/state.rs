//! What the requests of one credential have shown: the vendor's clock, and until when nothing may be asked.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::credential::{Credential, RateLimit};
use crate::clock::BootTime;
use crate::config::secret::SecretVersion;

/// A credential's clock and pause.
#[derive(Clone, Copy)]
pub struct CredentialState<'a>(&'a Credential);

impl<'a> CredentialState<'a> {
    pub(super) fn of(credential: &'a Credential) -> CredentialState<'a> {
        CredentialState(credential)
    }

    /// The vendor's time: by its `Date` headers as last believed, before the first by this machine's clock.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }

    /// The vendor's time when the boot clock showed `boot`.
    #[must_use]
    pub fn at(&self, boot: BootTime) -> DateTime<Utc> {
        let now = self.0.clock().boot();
        self.now().checked_add_signed(boot.minus(now)).unwrap_or_else(|| self.now())
    }

    /// The vendor's clock minus this machine's; `None` before a `Date` was believed.
    #[must_use]
    pub fn skew(&self) -> Option<TimeDelta> {
        let now = self.0.clock().moment();
        self.0.vendor_clock(|clock| clock.skew(now))
    }

    /// Whether no `Date` was believed yet and answers show another time than this machine's clock.
    #[must_use]
    pub fn is_unclear(&self) -> bool {
        self.0.vendor_clock(|clock| clock.is_disputed() && !clock.is_known())
    }

    /// Whether the vendor's `Date` and this machine's clock agree.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        let now = self.0.clock().moment();
        self.0.vendor_clock(|clock| clock.is_confirmed(now))
    }

    /// Another day than today's, which two answers agree is the vendor's: to be asked for.
    #[must_use]
    pub fn candidate_day(&self) -> Option<NaiveDate> {
        let now = self.0.clock().boot();
        self.0.vendor_clock(|clock| clock.candidate_day(now))
    }

    /// The vendor accepted a day as the end of a report.
    pub fn day_accepted(&self, day: NaiveDate) {
        let now = self.0.clock().boot();
        self.0.vendor_clock(|clock| clock.accepted(day, now));
    }

    /// The vendor refused the candidate day.
    pub fn day_refused(&self) {
        self.0.vendor_clock(super::date::VendorClock::refused);
    }

    /// When the next request may be sent, and notice of changes.
    #[must_use]
    pub fn rate_limit(&self) -> Arc<RateLimit> {
        Arc::clone(self.0.rate_limit())
    }

    /// Which secret is in use.
    #[must_use]
    pub fn secret_version(&self) -> SecretVersion {
        self.0.secret().version()
    }

    /// Sends no request until then, unless the secret has changed since it was `asked_with`; never shortens a longer
    /// pause.
    pub fn pause(&self, until: BootTime, asked_with: &SecretVersion) {
        if *asked_with == self.secret_version() {
            self.0.pause(until);
        }
    }

    /// Remembers that the vendor rejects this secret, or none. Returns whether that is new.
    pub fn set_rejected(&self, rejected: Option<SecretVersion>) -> bool {
        self.0.set_rejected(rejected)
    }

    /// Ends a pause, for a credential that was replaced.
    pub fn resume(&self) {
        self.0.resume();
    }
}
