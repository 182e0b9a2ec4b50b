//! Accounts in a file, and what happens when it is read again.
//!
//! Flows in: the variables of a world, chance. Flows out: the file, and a wallet that starts again. Invariant: the file says
//! what the variables would.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::budgets::{Budget, PERIODS};
use crate::plan::Trouble;
use crate::world::World;

/// A vendor, the prefix of its variables, its account, and its secrets: the variable and the field that names its file.
type Vendor = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

const VENDORS: [Vendor; 2] = [
    ("batchdata", "BATCHDATA_", WALLET, &[("BATCHDATA_API_TOKEN", "api_token_file")]),
    (
        "rightfoot",
        "RIGHTFOOT_",
        "checks",
        &[("RIGHTFOOT_API_KEY", "api_key_file"), ("RIGHTFOOT_WEBHOOK_SECRET", "webhook_secret_file")],
    ),
];

/// The wallet's account.
pub const WALLET: &str = "wallet";

impl World {
    /// What the exporter finds in its environment.
    pub fn environment(&self) -> BTreeMap<String, String> {
        if !self.plan.in_file {
            return self.variables.clone();
        }
        let of_vendor = |name: &str| VENDORS.iter().any(|(_, prefix, ..)| name.starts_with(prefix));
        let own = self.variables.iter().filter(|(name, _)| !of_vendor(name));
        let mut own: BTreeMap<String, String> = own.map(|(name, value)| (name.clone(), value.clone())).collect();
        own.insert("CONFIG_FILE".to_owned(), self.root().join("accounts.yml").display().to_string());
        own
    }

    /// Writes the accounts file and its secrets.
    pub fn write_accounts(&self) {
        let mut text = "accounts:\n".to_owned();
        for (vendor, prefix, account, secrets) in VENDORS {
            write!(text, "  - account: {account}\n    vendor: {vendor}\n").unwrap();
            for (name, value) in self.variables.iter().filter(|(name, _)| name.starts_with(prefix)) {
                match secrets.iter().find(|(secret, _)| secret == name) {
                    Some((_, field)) => {
                        std::fs::write(self.root().join(field), value).unwrap();
                        writeln!(text, "    {field}: {field}").unwrap();
                    }
                    None if name.ends_with("_ACCOUNT") => {}
                    None => writeln!(text, "    {}: \"{value}\"", name[prefix.len()..].to_lowercase()).unwrap(),
                }
            }
            if account == WALLET && !self.plan.listed.is_empty() {
                let listed: Vec<String> = self.plan.listed.iter().map(Budget::written).collect();
                writeln!(text, "    budgets: [{}]", listed.join(", ")).unwrap();
            }
        }
        std::fs::write(self.root().join("accounts.yml"), text).unwrap();
    }

    /// The oracle follows the wallet's periods, and the budgets that are configured.
    pub fn track_budgets(&self) {
        let own = (0..PERIODS.len()).map(|period| ("debit".to_owned(), period));
        let wanted = own.chain(self.plan.all_budgets().iter().map(Budget::tracked)).collect();
        self.network.state().oracle.money.tracked.want(wanted);
    }

    /// The wallet gets other budgets while everything runs.
    pub async fn reload(&mut self) -> Result<(), String> {
        self.look()?;
        let before = std::mem::take(&mut self.plan.listed);
        self.plan.listed = Budget::draw(&mut self.rng, self.plan.has(Trouble::ManyNames));
        // Often some of them stay, with another amount.
        if self.rng.bool() {
            self.plan.listed = before.clone();
            self.plan.listed[0].dollars += 1;
        }
        self.say(|| format!("the budgets are now {:?}", self.plan.listed));
        if self.plan.listed == before {
            return Ok(());
        }
        self.write_accounts();
        self.track_budgets();
        self.asked.clear();
        let Some(exporter) = &self.exporter else { return Ok(()) };
        exporter.reload().await?;
        self.checks.wallet_restarted(self.time.ms(), &self.network);
        self.look()
    }
}
