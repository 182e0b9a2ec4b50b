//! Flows in: a query as it stands in a dashboard. Flows out: its selectors, and whether each is inside `rate` or
//! `increase`. Always holds: a query that Prometheus could not parse fails the test with its text.

use promql_parser::label::Matcher;
use promql_parser::parser::{self, Expr, VectorSelector};

/// One `name{matchers}` of a query.
pub struct Selector {
    pub name: String,
    pub matchers: Vec<(String, String)>,
    pub in_rate: bool,
    parsed: Vec<Matcher>,
}

impl Selector {
    pub fn matcher(&self, label: &str) -> Option<&str> {
        self.matchers.iter().find(|(name, _)| name == label).map(|(_, value)| value.as_str())
    }

    /// Whether all its matchers on this label accept this value.
    pub fn accepts(&self, label: &str, value: &str) -> bool {
        self.parsed.iter().filter(|matcher| matcher.name == label).all(|matcher| matcher.is_match(value))
    }

    fn new(selector: &VectorSelector, in_rate: bool) -> Self {
        let matchers = &selector.matchers.matchers;
        Self {
            name: selector.name.clone().unwrap_or_default(),
            matchers: matchers.iter().map(|matcher| (matcher.name.clone(), matcher.value.clone())).collect(),
            in_rate,
            parsed: matchers.clone(),
        }
    }
}

/// All selectors of `expression`. Grafana's intervals become durations first and texts their defaults; its
/// other variables stay as they are.
pub fn selectors(expression: &str) -> Vec<Selector> {
    let plain =
        ["$__rate_interval=5m", "$__interval=5m", "$__range_s=604800", "$__range=7d", "$group_by=account", "$labels="]
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .fold(expression.to_owned(), |text, (name, value)| text.replace(name, value));
    let parsed = parser::parse(&plain).unwrap_or_else(|fault| panic!("{fault}\n{expression}"));
    let mut found = Vec::new();
    walk(&parsed, false, &mut found);
    found
}

fn walk(expression: &Expr, in_rate: bool, found: &mut Vec<Selector>) {
    match expression {
        Expr::VectorSelector(selector) => found.push(Selector::new(selector, in_rate)),
        Expr::MatrixSelector(matrix) => found.push(Selector::new(&matrix.vs, in_rate)),
        Expr::Call(call) => {
            let rate = ["rate", "increase"].contains(&call.func.name);
            call.args.args.iter().for_each(|argument| walk(argument, in_rate || rate, found));
        }
        Expr::Aggregate(aggregate) => {
            aggregate.param.iter().for_each(|parameter| walk(parameter, in_rate, found));
            walk(&aggregate.expr, in_rate, found);
        }
        Expr::Binary(binary) => {
            walk(&binary.lhs, in_rate, found);
            walk(&binary.rhs, in_rate, found);
        }
        Expr::Unary(unary) => walk(&unary.expr, in_rate, found),
        Expr::Paren(paren) => walk(&paren.expr, in_rate, found),
        Expr::Subquery(subquery) => walk(&subquery.expr, in_rate, found),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}
