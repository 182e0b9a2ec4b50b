//! Accounts by the labels that the accounts file gives them, by promtool.
//!
//! Flows in: the queries of the group, the table and the list of accounts; two accounts of one team and one of another,
//! each on two replicas. Flows out: a sum or a list that is wrong.

use serde_json::{Value, json};

use super::board::{all, expression};
use crate::alerts::tools::{run, versions};

const TEAMS: [(&str, &str, u32); 3] = [("a", "growth", 1), ("b", "growth", 2), ("c", "sales", 4)];

fn plain(expression: &str, group: &str, labels: &str) -> String {
    ["$job", "$instance", "$account"]
        .iter()
        .fold(expression.to_owned(), |text, variable| text.replace(variable, ".+"))
        .replace("$group_by", group)
        .replace("$labels", labels)
}

#[test]
fn accounts_are_grouped_and_listed_by_their_labels() {
    let mut series = Vec::new();
    for (account, team, rate) in TEAMS {
        for instance in ["one:10700", "two:10700"] {
            let own = format!(r#"account="{account}",instance="{instance}",job="wallet-exporter""#);
            let info = format!(r#"wallet_exporter_account_info{{{own},vendor="batchdata",team="{team}"}}"#);
            series.push(json!({"series": info, "values": "1x10"}));
            // The name may also be one of the other vendor.
            let other = format!(r#"wallet_exporter_account_info{{{own},vendor="rightfoot",team="other"}}"#);
            series.push(json!({"series": other, "values": "1x10"}));
            let burn = format!(r#"batchdata_wallet_burn_usd_per_hour{{{own},window="24h"}}"#);
            series.push(json!({"series": burn, "values": format!("{rate}x10")}));
        }
    }
    let group = expression("spend", "Spend rate by group", "A");
    let table = expression("spend", "Accounts and their labels", "A");
    let sample = |labels: &str, value: u32| json!({"labels": labels, "value": value});
    let mut asked = vec![
        (plain(&group, "team", ""), vec![sample(r#"{group="growth"}"#, 3), sample(r#"{group="sales"}"#, 4)]),
        (
            plain(&group, "account", ""),
            TEAMS.iter().map(|(account, _, rate)| sample(&format!(r#"{{group="{account}"}}"#), *rate)).collect(),
        ),
        (
            plain(&table, "", ""),
            TEAMS
                .iter()
                .map(|(account, team, _)| sample(&format!(r#"{{account="{account}",team="{team}"}}"#), 1))
                .collect(),
        ),
    ];
    for board in all() {
        let variables = board.list("/templating/list");
        let list = variables.iter().find(|variable| variable["name"] == "account").unwrap();
        let list = list["query"]["query"].as_str().unwrap();
        let selector = list.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(", account)")).unwrap();
        let listed = |labels| plain(&format!("group by (account) ({selector})"), "", labels);
        let all = ["a", "b", "c"].map(|account| sample(&format!(r#"{{account="{account}"}}"#), 1));
        asked.push((listed(""), all.to_vec()));
        asked.push((listed(r#"team="growth""#), all[..2].to_vec()));
    }
    let asked: Vec<Value> = asked
        .into_iter()
        .map(|(expr, samples)| json!({"expr": expr, "eval_time": "5m", "exp_samples": samples}))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts_test.yml");
    let case = json!({"interval": "1m", "input_series": series, "promql_expr_test": asked});
    // JSON is YAML.
    std::fs::write(&file, json!({"evaluation_interval": "1m", "tests": [case]}).to_string()).unwrap();
    for promtool in versions("promtool") {
        run(&promtool, &["test", "rules", &file.to_string_lossy()]);
    }
}
