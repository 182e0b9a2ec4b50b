//! `GET /api/v1/wallet/balance`.

use super::{Reply, time};
use crate::amount::four;
use crate::world::World;

/// The balance as it is now.
pub(crate) fn answer(world: &World, now: i64) -> Reply {
    let as_of = time(now).format("%Y-%m-%dT%H:%M:%S+00:00");
    let balance = four(world.wallet.balance);
    Reply::results(&format!(r#"{{"balance":{balance},"currency":"USD","asOf":"{as_of}"}}"#))
}
