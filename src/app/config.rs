//! The whole configuration: the process's own settings and the vendors' accounts.
//!
//! Flows in: flags and variables. Flows out: a checked [`Config`], or every error at once. Invariant: nothing else can
//! construct a `Config`.

use std::any::Any;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;

use super::INTEGRATIONS;
use crate::config::accounts::{self, AccountEntry, KnownFields, Listed, VendorFields};
use crate::config::secret::Secret;
use crate::config::{ConfigErrors, CountSince, Flags, Process, Variable, Variables, file};
use crate::integration::{AccountConfig, Configured};
use crate::names::Vendor;
use crate::poll::blocking_call::BlockingCall;

/// How long a reload waits for the files that it reads.
const PATIENCE: Duration = Duration::from_secs(30);

/// A checked configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The process's own settings.
    pub process: Process,
    /// Accounts of vendors; at least one, but for a shard.
    pub accounts: Vec<ConfiguredAccount>,
    base_urls: BaseUrls,
    /// What to say of variables that only resemble ours.
    lookalikes: Vec<String>,
    /// Reads the accounts file again.
    reading: BlockingCall,
}

/// Where vendors are, by their names, if variables say so beside an accounts file.
type BaseUrls = BTreeMap<&'static str, String>;

/// An account, and the labels that its operator gives it.
#[derive(Clone, Debug)]
pub struct ConfiguredAccount {
    /// What its vendor made of it.
    pub config: Arc<dyn AccountConfig>,
    /// Whose it is.
    pub vendor: Vendor,
    /// From when on it counts, if that is configured.
    pub base_line: Option<CountSince>,
    /// Labels for `wallet_exporter_account_info`.
    pub labels: BTreeMap<String, String>,
    /// The file that it is in, if it is in one.
    pub file: Option<PathBuf>,
    /// What it was made of there. No secret is among them: a file names files.
    pub variables: Variables,
}

/// The accounts file, read again.
#[derive(Debug, Default)]
pub struct Reread {
    /// The accounts that should be there from now on.
    pub accounts: Vec<ConfiguredAccount>,
    /// Why some are as they were before.
    pub errors: ConfigErrors,
}

/// A configuration as far as it could be read, for `check`, which looks for more errors than are in it.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The process's own settings; a faulty one has its default.
    pub process: Process,
    /// The base lines that are configured.
    pub base_lines: Vec<CountSince>,
    /// What is wrong with it.
    pub errors: ConfigErrors,
    accounts: Vec<ConfiguredAccount>,
    base_urls: BaseUrls,
    lookalikes: Vec<String>,
}

/// Every variable, in the order of the documentation.
pub fn variables() -> impl Iterator<Item = &'static Variable> {
    crate::config::VARIABLES.iter().chain(INTEGRATIONS.iter().flat_map(|vendor| vendor.variables))
}

/// What an accounts file may say.
fn fields() -> [VendorFields; INTEGRATIONS.len()] {
    INTEGRATIONS.map(|vendor| VendorFields {
        name: vendor.vendor.name,
        prefix: vendor.prefix,
        variables: vendor.variables,
        lists: vendor.lists,
        secrets: vendor.secrets,
    })
}

/// Labels of our own series: a join that brings one of this name to such a series would change it.
fn own_labels() -> BTreeSet<&'static str> {
    super::families().flat_map(|family| family.labels).copied().chain(["le"]).collect()
}

/// The one kind of a vendor's variable that may stand beside an accounts file.
fn base_urls(variables: &Variables, errors: &mut ConfigErrors) -> BaseUrls {
    let mut base_urls = BaseUrls::new();
    for vendor in fields() {
        for (name, value) in variables.with_prefix(vendor.prefix) {
            if name == vendor.base_url() {
                base_urls.insert(vendor.name, value.to_owned());
            } else {
                errors.add(name, "has no effect with --config.file: move it into the file, and unset it");
            }
        }
    }
    base_urls
}

/// How good an account's right to its name and its secrets is: best if it is there and as it was, then if it is there.
fn entry_right(entry: &AccountEntry, present: &[ConfiguredAccount]) -> u8 {
    let is_there = |account: &&ConfiguredAccount| account.is_of(entry) && account.file.as_deref() == Some(entry.file());
    let before = present.iter().find(is_there);
    before.map_or(0, |account| 1 + u8::from(account.variables == entry.variables))
}

fn value(secret: &Secret) -> String {
    secret.current().expose_secret().to_owned()
}

/// A secret that another account has used is an error.
fn refuse_shared(
    entry: &AccountEntry,
    account: &dyn AccountConfig,
    used: &mut HashMap<String, String>,
    errors: &mut ConfigErrors,
) {
    let credential = value(account.credential());
    let mut own = HashSet::new();
    for secret in account.secrets() {
        let value = value(secret);
        // While one is being replaced, the old and the new one may be the same.
        if !own.insert(value.clone()) && value != credential {
            continue;
        }
        let remedy = match value == credential {
            true => "the money would be counted twice; remove one of them",
            false => "give each its own",
        };
        if let Some(first) = used.insert(value, entry.name.clone()) {
            entry.error_of_secret(secret.file(), format!("is also used by account {first}: {remedy}"), errors);
        }
    }
}

/// What to say of a count start that is earlier than what the vendor keeps, where nothing has been counted yet.
pub(super) fn out_of_reach(line: &CountSince, of_file: bool) -> Option<String> {
    let text = line.out_of_reach.clone()?;
    let vendor = fields().into_iter().find(|vendor| of_file && vendor.name == line.vendor.name);
    Some(vendor.map_or_else(|| text.clone(), |vendor| format!("account {}: {}", line.account, vendor.in_file(&text))))
}

impl Draft {
    fn new(process: Process, base_urls: BaseUrls) -> Draft {
        Draft {
            process,
            base_lines: Vec::new(),
            errors: ConfigErrors::default(),
            accounts: Vec::new(),
            base_urls,
            lookalikes: Vec::new(),
        }
    }

    /// Checks flags and variables. Dates after `now` are errors.
    #[must_use]
    pub fn read(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        now: DateTime<Utc>,
    ) -> Draft {
        let mut errors = ConfigErrors::default();
        let vendors = INTEGRATIONS.map(|vendor| (vendor.prefix, vendor.variables));
        let variables = Variables::read(environment, &vendors, &mut errors);
        let process = Process::read(flags, &variables, &mut errors);
        let mut draft = Draft::new(process, BaseUrls::new());
        match draft.process.config_file.clone() {
            Some(file) => {
                draft.base_urls = base_urls(&variables, &mut errors);
                draft.read_file(&file, &[], now, &mut errors);
            }
            None => {
                for vendor in &INTEGRATIONS {
                    let configured = (vendor.configure)(&variables, now, &mut errors);
                    draft.take(vendor.vendor, configured, BTreeMap::new(), None);
                }
            }
        }
        let Draft { process, base_lines, accounts, base_urls, .. } = draft;
        if errors.is_empty() && accounts.is_empty() && process.shard.is_none() {
            errors.add(
                INTEGRATIONS.map(|vendor| vendor.vendor.secret_variable).join(", "),
                "set at least one of them or its _FILE; to try the program without credentials, run `wallet-exporter demo`",
            );
        }
        Draft { process, base_lines, errors, accounts, base_urls, lookalikes: variables.lookalikes().to_vec() }
    }

    fn take(
        &mut self,
        vendor: Vendor,
        configured: Configured,
        labels: BTreeMap<String, String>,
        entry: Option<(&Path, &Variables)>,
    ) {
        self.base_lines.extend(configured.base_line.clone());
        self.accounts.extend(configured.account.map(|config| ConfiguredAccount {
            config,
            vendor,
            base_line: configured.base_line,
            labels,
            file: entry.map(|(file, _)| file.to_owned()),
            variables: entry.map(|(_, variables)| variables.clone()).unwrap_or_default(),
        }));
    }

    /// Reads the accounts file. Of two accounts that cannot be there together, the one that is `present` is in the right.
    fn read_file(
        &mut self,
        file: &Path,
        present: &[ConfiguredAccount],
        now: DateTime<Utc>,
        errors: &mut ConfigErrors,
    ) -> Listed {
        let before = errors.iter().count();
        let labels = own_labels();
        let known = KnownFields { vendors: &fields(), labels: &labels };
        let mut listed = accounts::read(file, self.process.secrets_directory.as_deref(), known, errors);
        if listed.entries.is_empty() && errors.iter().count() == before {
            errors.add("--config.file", format!("{} has no account: write at least one", file.display()));
        }
        for entry in &mut listed.entries {
            if let Some(url) = self.base_urls.get(entry.vendor.name) {
                entry.variables.set(entry.vendor.base_url(), url.clone());
            }
        }
        listed.entries.sort_by_key(|entry| Reverse(entry_right(entry, present)));
        accounts::refuse_duplicates(&listed.entries, errors);
        let shard = self.process.shard;
        let is_here = |entry: &AccountEntry| shard.is_none_or(|shard| shard.has(&entry.name));
        accounts::refuse_shared_files(&listed.entries, is_here, errors);
        let mut read = Vec::new();
        for entry in listed.entries.iter().filter(|entry| is_here(entry)) {
            let mut found = ConfigErrors::default();
            let Some(vendor) = INTEGRATIONS.iter().find(|vendor| vendor.vendor.name == entry.vendor.name) else {
                continue;
            };
            if !entry.names_secret(vendor.vendor.secret_variable) {
                let field = vendor.vendor.secret_field();
                entry.error(&field, "is missing: name the file that holds the secret", errors);
                continue;
            }
            let configured = (vendor.configure)(&entry.variables, now, &mut found);
            entry.take_over(&found, errors);
            let Some(account) = &configured.account else { continue };
            let directory = self.process.secrets_directory.as_deref().unwrap_or(entry.directory());
            account.secrets().into_iter().for_each(|secret| secret.confine(directory));
            let before = present.iter().find(|account| account.is_of(entry));
            let is_new = before.is_none_or(|before| value(before.config.credential()) != value(account.credential()));
            read.push((is_new, vendor.vendor, entry, configured));
        }
        // Who has a secret already, and then who used it first.
        read.sort_by_key(|(is_new, ..)| *is_new);
        let mut used = HashMap::new();
        for (_, vendor, entry, mut configured) in read {
            if let Some(account) = &configured.account {
                refuse_shared(entry, account.as_ref(), &mut used, errors);
            }
            if let Some(line) = &mut configured.base_line {
                line.account.clone_from(&entry.name);
            }
            self.take(vendor, configured, entry.labels.clone(), Some((entry.file(), &entry.variables)));
        }
        listed
    }

    /// The configuration, if it has no error.
    ///
    /// # Errors
    /// All errors together.
    pub fn finish(self) -> Result<Config, ConfigErrors> {
        let Draft { process, mut errors, accounts, base_urls, lookalikes, .. } = self;
        if errors.is_empty() {
            return Ok(Config { process, accounts, base_urls, lookalikes, reading: BlockingCall::default() });
        }
        // One of these may be why something seems to be missing.
        errors.warn(lookalikes);
        Err(errors)
    }

    /// The accounts without an error: whose, and their names.
    pub fn accounts(&self) -> impl Iterator<Item = (Vendor, &str)> {
        self.accounts.iter().map(|account| (account.vendor, account.config.name()))
    }

    /// Whether the webhook is opened, as far as the configuration could be read.
    #[must_use]
    pub fn opens_webhook(&self) -> bool {
        self.accounts.iter().any(|account| account.config.opens_webhook())
    }
}

impl ConfiguredAccount {
    /// Whether nothing is configured otherwise.
    pub(super) fn is_unchanged(&self, other: &ConfiguredAccount) -> bool {
        self.is(other) && self.variables == other.variables && self.labels == other.labels
    }

    /// Whether it is the same account, whatever is configured of it.
    #[must_use]
    pub fn is(&self, other: &ConfiguredAccount) -> bool {
        self.vendor == other.vendor && self.config.name() == other.config.name()
    }

    /// Whether it is what was made of this entry before.
    fn is_of(&self, entry: &AccountEntry) -> bool {
        self.vendor.name == entry.vendor.name && self.config.name() == entry.name
    }

    /// Whether the two cannot be there together.
    fn collides_with(&self, other: &ConfiguredAccount) -> bool {
        let own: Vec<String> = self.config.secrets().into_iter().map(value).collect();
        self.is(other) || other.config.secrets().into_iter().any(|secret| own.contains(&value(secret)))
    }
}

impl Config {
    /// Checks flags and variables. Dates after `now` are errors.
    ///
    /// # Errors
    /// All errors together.
    pub fn load(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        now: DateTime<Utc>,
    ) -> Result<Config, ConfigErrors> {
        Draft::read(flags, environment, now).finish()
    }

    /// Reads the accounts file again; without one, the accounts are as they are. `present` are those that run. A file with
    /// errors keeps its accounts, and errors that are not about one file keep all. Blocks, but not for ever: a file may be
    /// on a mount that hangs.
    #[must_use]
    pub fn reread(&self, present: &[ConfiguredAccount], now: DateTime<Utc>) -> Reread {
        let (config, accounts) = (self.clone(), present.to_vec());
        self.reading.run(PATIENCE, move || config.reread_now(&accounts, now)).unwrap_or_else(|| {
            let mut errors = ConfigErrors::default();
            let remedy = "timed out reading the accounts or a file that they name: check the mounts that they are on";
            errors.add("--config.file", remedy);
            Reread { accounts: present.to_vec(), errors }
        })
    }

    fn reread_now(&self, present: &[ConfiguredAccount], now: DateTime<Utc>) -> Reread {
        let Some(path) = &self.process.config_file else {
            return Reread { accounts: present.to_vec(), ..Reread::default() };
        };
        let mut draft = Draft::new(self.process.clone(), self.base_urls.clone());
        let mut errors = ConfigErrors::default();
        let listed = draft.read_file(path, present, now, &mut errors);
        let Some(faulty) = accounts::faulty(path, &errors) else {
            return Reread { accounts: present.to_vec(), errors };
        };
        let is_faulty = |account: &&ConfiguredAccount| account.file.as_ref().is_some_and(|file| faulty.contains(file));
        // One that was moved into a file with errors stays, too, and while it cannot be told who is in a file, so does one
        // that is nowhere.
        let moved = |account: &&ConfiguredAccount| {
            let mut entries = listed.entries.iter().filter(|entry| account.is_of(entry)).peekable();
            let nowhere = entries.peek().is_none();
            if nowhere { !listed.complete } else { entries.all(|entry| faulty.contains(entry.file())) }
        };
        let kept = present.iter().filter(|account| is_faulty(account) || moved(account));
        let mut accounts: Vec<ConfiguredAccount> = kept.cloned().collect();
        let kept = accounts.len();
        for account in draft.accounts.iter().filter(|account| !is_faulty(account)) {
            let Some(before) = accounts.iter().take(kept).find(|kept| kept.collides_with(account)) else {
                accounts.push(account.clone());
                continue;
            };
            let before = before.config.name();
            let remedy = format!(
                "is not used: its name or a secret is that of account {before}, which stays as it is until the other \
                 errors are mended"
            );
            errors.add(account.config.name(), remedy);
        }
        Reread { accounts, errors }
    }

    /// The accounts of a type.
    pub fn accounts_of<A: AccountConfig>(&self) -> impl Iterator<Item = &A> {
        self.accounts.iter().filter_map(|account| {
            let account: &dyn Any = account.config.as_ref();
            account.downcast_ref()
        })
    }

    /// The first account of a type.
    #[must_use]
    pub fn account<A: AccountConfig>(&self) -> Option<&A> {
        self.accounts_of().next()
    }

    /// What deserves a word although it is no error.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.warnings_of(&self.accounts)
    }

    /// The same with other accounts.
    #[must_use]
    pub fn warnings_of(&self, accounts: &[ConfiguredAccount]) -> Vec<String> {
        let mut warnings = self.lookalikes.clone();
        // What holds for many accounts is said once.
        let mut by_text: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for account in accounts {
            let of_file =
                account.file.as_ref().and_then(|_| fields().into_iter().find(|of| of.name == account.vendor.name));
            for warning in account.config.warnings() {
                let warning = of_file.map_or_else(|| warning.clone(), |vendor| vendor.in_file(&warning));
                by_text.entry(warning).or_default().push(account.config.name());
            }
        }
        if let Some(shard) = self.process.shard.filter(|_| accounts.is_empty()) {
            warnings.push(format!("no account of the accounts file is assigned to shard {shard}"));
        }
        let of_webhook = accounts.iter().find(|account| account.config.opens_webhook());
        if let Some(account) = of_webhook.filter(|_| self.process.shard.is_some()) {
            warnings.push(format!(
                "account {} has a webhook: it must reach this shard, or the account run in an exporter without --shard",
                account.config.name()
            ));
        }
        let few = accounts.len() <= INTEGRATIONS.len();
        warnings.extend(by_text.into_iter().map(|(warning, accounts)| match accounts.as_slice() {
            _ if few => warning,
            [account] => format!("account {account}: {warning}"),
            [first, more @ ..] => format!("account {first} and {} more: {warning}", more.len()),
            [] => warning,
        }));
        // Looking at a file that hangs would hang, too.
        if self.reading.is_running() {
            return warnings;
        }
        let secrets = accounts.iter().flat_map(|account| account.config.secrets());
        let private = secrets.filter_map(|secret| secret.file()).chain(self.process.storage.as_deref());
        warnings.extend(private.filter_map(file::exposure));
        warnings
    }
}
