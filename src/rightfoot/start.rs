//! What the rest of the program asks of an account: it becomes a client, a storage, a batch list and a poll.

use std::sync::Arc;
use std::time::Duration;

use super::batch_list::BatchList;
use super::batches::batch::BatchTiming;
use super::batches::poll::{BatchesPoller, BatchesSettings};
use super::{BATCHES, Client, Config, RightfootView, VENDOR, WebhookView};
use crate::config::secret::Secret;
use crate::integration::AccountConfig;
use crate::poll::attempts::Wake;
use crate::poll::builder::{Builder, RestoredSource, StartError, Webhook};
use crate::poll::file_watcher::{WatchedFile, WatchedSecret};
use crate::poll::source::SourceSettings;

impl AccountConfig for Config {
    fn name(&self) -> &str {
        &self.account
    }

    fn credential(&self) -> &Secret {
        &self.key
    }

    fn secrets(&self) -> Vec<&Secret> {
        [Some(&self.key), self.webhook_secret.as_ref(), self.old_webhook_secret.as_ref()]
            .into_iter()
            .flatten()
            .collect()
    }

    fn opens_webhook(&self) -> bool {
        self.webhook_secret.is_some()
    }

    fn without_waiting(&self) -> Option<Arc<dyn AccountConfig>> {
        Some(Arc::new(Config { interval: Duration::ZERO, ..self.clone() }))
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.batch_ids.is_empty() && self.batch_ids_file.is_none() && self.webhook_secret.is_none() {
            warnings.push(
                "no source of batch ids is set: no balance check is followed until RIGHTFOOT_BATCH_IDS, \
                 RIGHTFOOT_BATCH_IDS_FILE or RIGHTFOOT_WEBHOOK_SECRET is set"
                    .to_owned(),
            );
        }
        warnings.extend(self.batch_ids_warning.clone());
        warnings
    }

    fn start(&self, builder: &mut Builder<'_>) -> Result<(), StartError> {
        start(self, builder)
    }
}

fn start(config: &Config, builder: &mut Builder<'_>) -> Result<(), StartError> {
    let storage = builder.storage(VENDOR, &config.account, [BATCHES])?;
    let stored = builder.store.source(storage.account, BATCHES)?;
    let settings = builder.client_settings(&config.base_url, &config.key, config.requests_per_minute, &storage);
    let client = Client::new(settings);
    let client = Arc::new(client.map_err(|source| StartError::Client { variable: "RIGHTFOOT_BASE_URL", source })?);
    builder.create_series(&storage, BATCHES, BatchesPoller::known_series())?;
    let wake = Wake::default();
    let (ids, file) = (config.batch_ids.clone(), config.batch_ids_file.clone());
    let batch_list = Arc::new(BatchList::new(Arc::clone(&storage), Arc::clone(&wake), ids, file));
    let timing = BatchTiming { interval: config.interval, settle_after: config.settle_after };
    let settings = BatchesSettings { timing, count_since: config.count_since };
    let poller = BatchesPoller::restore(Arc::clone(&client), Arc::clone(&storage), Arc::clone(&batch_list), settings)?;
    let webhook = config.webhook_secret.as_ref().map(|_| WebhookView::default());
    let view = RightfootView { checks: Arc::new(poller.view()), webhook };
    let settings = SourceSettings { interval: config.interval, max_age: config.max_age };
    let source = RestoredSource { poller: Box::new(poller), settings, stored, wake: Arc::clone(&wake) };
    builder.show(&storage, view, vec![source]);
    builder.secrets.push(WatchedSecret {
        variable: "RIGHTFOOT_API_KEY_FILE".to_owned(),
        secret: config.key.clone(),
        wakes: vec![wake],
        on_change: Box::new(move || client.credential().resume()),
    });
    let mut secrets = Vec::new();
    for (variable, secret) in [
        ("RIGHTFOOT_WEBHOOK_SECRET_FILE", &config.webhook_secret),
        ("RIGHTFOOT_WEBHOOK_OLD_SECRET_FILE", &config.old_webhook_secret),
    ] {
        let Some(secret) = secret else { continue };
        secrets.push(secret.clone());
        builder.secrets.push(WatchedSecret {
            variable: variable.to_owned(),
            secret: secret.clone(),
            wakes: Vec::new(),
            on_change: Box::new(|| {}),
        });
    }
    if !secrets.is_empty() {
        builder.webhooks.push(Webhook { sink: Arc::clone(&batch_list) as _, secrets });
    }
    let read = Box::new(move || batch_list.read_file());
    builder.files.push(WatchedFile { variable: "RIGHTFOOT_BATCH_IDS_FILE", read });
    Ok(())
}
