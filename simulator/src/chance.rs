//! Chance that repeats: numbers that depend on a seed and a few coordinates, and on nothing else.
//!
//! Invariant: the draw for one moment does not depend on how many draws came before it, so the order in which a test
//! asks changes nothing.

use uuid::Uuid;

/// Subjects: each has its own numbers.
pub(crate) const SPEND: u64 = 1;
pub(crate) const CARD: u64 = 2;
pub(crate) const BATCH: u64 = 3;
pub(crate) const NOISE: u64 = 4;
pub(crate) const EVENT: u64 = 5;
pub(crate) const BATCH_ID: u64 = 6;
pub(crate) const ROW: u64 = 0xB0;

/// A stream of numbers for one subject at one moment.
pub(crate) struct Chance(u64);

impl Chance {
    /// The stream for these coordinates.
    pub(crate) fn at(seed: u64, subject: u64, moment: i64) -> Chance {
        let moment = u64::from_ne_bytes(moment.to_ne_bytes());
        let mut chance = Chance(seed ^ subject.rotate_left(32) ^ moment.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        chance.next();
        chance
    }

    /// SplitMix64: small, and good enough to look alive.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound` (0 if that is 0).
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        let scaled = (u128::from(self.next()) * u128::from(bound)) >> 64;
        u32::try_from(scaled).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True in `per_mille` of 1,000 cases.
    pub(crate) fn happens(&mut self, per_mille: u32) -> bool {
        self.below(1_000) < per_mille
    }

    /// One of the choices, by weight.
    pub(crate) fn weighted<'a, T>(&mut self, choices: &'a [(T, u32)]) -> Option<&'a T> {
        let total = choices.iter().map(|(_, weight)| weight).sum();
        let mut point = self.below(total);
        for (choice, weight) in choices {
            if point < *weight {
                return Some(choice);
            }
            point -= weight;
        }
        None
    }

    /// A version 4 UUID.
    pub(crate) fn uuid(&mut self) -> Uuid {
        let mut bytes = [0_u8; 16];
        for (place, byte) in
            bytes.iter_mut().zip(self.next().to_le_bytes().into_iter().chain(self.next().to_le_bytes()))
        {
            *place = byte;
        }
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}
