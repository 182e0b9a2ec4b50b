//! Which accounts of the file this process has.
//!
//! Flows in: `--shard`, and names of accounts. Flows out: whether an account is here. Invariant: the shard of a name is the
//! one that the relabel action `hashmod` of Prometheus computes, so that a relabel rule and the exporter agree.

use std::fmt;

/// More processes than this are a slip of the pen.
const MOST: u64 = 10_000;

/// One of several processes with the same accounts file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    index: u64,
    /// How many there are.
    count: u64,
}

impl Shard {
    /// Reads `0/3`, which is the first of three.
    pub(super) fn read(text: &str) -> Result<Shard, String> {
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        let read = || {
            let (index, count) = text.split_once('/')?;
            Some(Shard { index: number(index)?, count: number(count)? })
        };
        let remedy =
            || format!("write the number of this shard, from 0, and how many there are (at most {MOST}), such as 0/3");
        let shard = read().filter(|shard| (1..=MOST).contains(&shard.count)).ok_or_else(remedy)?;
        let Shard { index, count } = shard;
        match count - 1 {
            last if index <= last => Ok(shard),
            0 => Err(format!("{}; the only shard of 1 is 0/1", remedy())),
            last => Err(format!("{}; the {count} shards are 0/{count} to {last}/{count}", remedy())),
        }
    }

    /// Whether the account of this name is here.
    #[must_use]
    pub fn has(self, account: &str) -> bool {
        let [.., a, b, c, d, e, f, g, h] = md5::compute(account).0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) % self.count == self.index
    }

    /// Its number, from 0.
    #[must_use]
    pub fn index(self) -> u64 {
        self.index
    }

    /// How many shards there are.
    #[must_use]
    pub fn count(self) -> u64 {
        self.count
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_a_number_of_a_number() {
        assert_eq!(Shard::read("2/3"), Ok(Shard { index: 2, count: 3 }));
        assert_eq!(Shard::read("0/1").map(|shard| shard.to_string()), Ok("0/1".to_owned()));
        for text in
            ["", "1", "3/3", "0/0", "-1/3", "+1/3", "1/ 3", "1/3/5", "a/b", "1/", "/3", "0/10001", "$(POD_INDEX)/3"]
        {
            assert!(Shard::read(text).is_err_and(|remedy| remedy.contains("0/3")), "{text}");
        }
        for (text, words) in [("3/3", "the 3 shards are 0/3 to 2/3"), ("7/1", "the only shard of 1 is 0/1")] {
            let remedy = Shard::read(text).unwrap_err();
            assert!(remedy.contains("from 0") && remedy.ends_with(words), "{text}: {remedy}");
        }
        let shards = [0, 1, 2].map(|index| Shard { index, count: 3 });
        for name in (0..100).map(|number| format!("account-{number}")) {
            assert_eq!(shards.iter().filter(|shard| shard.has(&name)).count(), 1, "{name}");
        }
    }
}
