//! One file with all its mutants in it.
//!
//! Flows in: a file's text, the number of the first mutant, the numbers that do not compile. Flows out: the text in which
//! `crate::mutants::on(N)` is asked where mutant N differs, and what each is.

use std::collections::BTreeSet;

use proc_macro2::Span;
use quote::{ToTokens, quote};
use syn::spanned::Spanned as _;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, BinOp, Block, Expr, ImplItemFn, ItemFn, ReturnType, Signature, Stmt, Type, UnOp, parse_quote};

/// A change of the program.
#[derive(Clone, Debug)]
pub struct Mutant {
    pub number: u32,
    /// Where, and what is changed.
    pub what: String,
    /// It does not compile.
    pub unviable: bool,
}

struct Mutator<'a> {
    file: &'a str,
    function: String,
    mutants: &'a mut Vec<Mutant>,
    unviable: &'a BTreeSet<u32>,
    next: u32,
}

/// The mutants of a file are added to `mutants`.
pub fn mutate(file: &str, text: &str, mutants: &mut Vec<Mutant>, unviable: &BTreeSet<u32>) -> String {
    let mut tree = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let next = u32::try_from(mutants.len()).expect("some thousands") + 1;
    Mutator { file, function: String::new(), mutants, unviable, next }.visit_file_mut(&mut tree);
    prettyplease::unparse(&tree)
}

impl Mutator<'_> {
    /// The condition under which a new mutant is on. A unviable one keeps its number.
    fn mutant(&mut self, span: Span, what: &str) -> Option<Expr> {
        let number = self.next;
        self.next += 1;
        let unviable = self.unviable.contains(&number);
        let place = format!("{}:{}: {}: {what}", self.file, span.start().line, self.function);
        self.mutants.push(Mutant { number, what: place, unviable });
        (!unviable).then(|| parse_quote!(crate::mutants::on(#number)))
    }

    fn function(&mut self, attributes: &[Attribute], signature: &Signature, block: &mut Block) {
        if signature.constness.is_some() || is_test(attributes) || signature.ident == "fmt" {
            return;
        }
        let outer = std::mem::replace(&mut self.function, signature.ident.to_string());
        visit_mut::visit_block_mut(self, block);
        for value in values(&signature.output) {
            let what = format!("returns {}", value.to_token_stream());
            if let Some(on) = self.mutant(signature.span(), &what) {
                block.stmts.insert(0, parse_quote!(if #on { return #value; }));
            }
        }
        self.function = outer;
    }

    fn binary(&mut self, expr: &mut Expr) {
        let Expr::Binary(binary) = &*expr else { return };
        let (left, right, op, span) = (&binary.left, &binary.right, binary.op, binary.op.span());
        let other: BinOp = match op {
            BinOp::Eq(_) | BinOp::Ne(_) => return self.negate(expr, span, "other way round"),
            BinOp::Lt(_) => parse_quote!(<=),
            BinOp::Le(_) => parse_quote!(<),
            BinOp::Gt(_) => parse_quote!(>=),
            BinOp::Ge(_) => parse_quote!(>),
            BinOp::And(_) => parse_quote!(||),
            BinOp::Or(_) => parse_quote!(&&),
            BinOp::Add(_) => parse_quote!(-),
            BinOp::Sub(_) => parse_quote!(+),
            BinOp::AddAssign(_) => parse_quote!(-=),
            BinOp::SubAssign(_) => parse_quote!(+=),
            _ => return,
        };
        let is_logical = matches!(op, BinOp::And(_) | BinOp::Or(_));
        let is_comparison = matches!(op, BinOp::Lt(_) | BinOp::Le(_) | BinOp::Gt(_) | BinOp::Ge(_));
        if is_logical && (has_let(left) || has_let(right)) {
            return;
        }
        let what = format!("{} for {}", other.to_token_stream(), op.to_token_stream());
        let Some(on) = self.mutant(span, &what) else { return };
        *expr = if is_logical {
            // The left side once, or a chain would double with each link.
            parse_quote!({ let left: bool = #left; if #on { left #other #right } else { left #op #right } })
        } else {
            parse_quote!((if #on { #left #other #right } else { #left #op #right }))
        };
        if is_comparison {
            self.negate(expr, span, "other way round");
        }
    }

    fn negate(&mut self, expr: &mut Expr, span: Span, what: &str) {
        if let Some(on) = self.mutant(span, what) {
            *expr = parse_quote!(((#expr) ^ #on));
        }
    }

    /// A condition that is no operator, which would have mutants already.
    fn condition(&mut self, condition: &mut Expr) {
        if !has_let(condition)
            && !matches!(condition, Expr::Binary(_) | Expr::Unary(_) | Expr::Paren(_) | Expr::Block(_))
        {
            self.negate(condition, condition.span(), "condition the other way round");
        }
    }
}

impl VisitMut for Mutator<'_> {
    fn visit_item_fn_mut(&mut self, item: &mut ItemFn) {
        self.function(&item.attrs, &item.sig, &mut item.block);
    }

    fn visit_impl_item_fn_mut(&mut self, item: &mut ImplItemFn) {
        self.function(&item.attrs, &item.sig, &mut item.block);
    }

    fn visit_item_mod_mut(&mut self, item: &mut syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit_mut::visit_item_mod_mut(self, item);
        }
    }

    // What the compiler computes cannot ask which mutant is on.
    fn visit_item_const_mut(&mut self, _: &mut syn::ItemConst) {}
    fn visit_item_static_mut(&mut self, _: &mut syn::ItemStatic) {}
    fn visit_impl_item_const_mut(&mut self, _: &mut syn::ImplItemConst) {}
    fn visit_type_mut(&mut self, _: &mut Type) {}
    fn visit_pat_mut(&mut self, _: &mut syn::Pat) {}
    fn visit_expr_repeat_mut(&mut self, _: &mut syn::ExprRepeat) {}

    fn visit_block_mut(&mut self, block: &mut Block) {
        visit_mut::visit_block_mut(self, block);
        for statement in &mut block.stmts {
            let Stmt::Expr(expr, Some(_)) = statement else { continue };
            if matches!(expr, Expr::Call(_) | Expr::MethodCall(_) | Expr::Try(_) | Expr::Assign(_) | Expr::Await(_)) {
                let what = format!("without {}", brief(expr));
                if let Some(on) = self.mutant(expr.span(), &what) {
                    *statement = parse_quote!(if !#on { #expr; });
                }
            }
        }
    }

    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        let (logged, span) = (expr.clone(), expr.span());
        visit_mut::visit_expr_mut(self, expr);
        match expr {
            Expr::Binary(_) => self.binary(expr),
            Expr::Unary(unary) if matches!(unary.op, UnOp::Not(_)) => {
                self.negate(expr, span, &format!("not {}", brief(&logged)));
            }
            Expr::If(conditional) => self.condition(&mut conditional.cond),
            Expr::Match(matching) => {
                for (_, guard) in matching.arms.iter_mut().filter_map(|arm| arm.guard.as_mut()) {
                    self.condition(guard);
                }
            }
            _ => {}
        }
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = attribute.to_token_stream().to_string();
        text.contains("cfg") && text.contains("test")
    })
}

fn has_let(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        Expr::Paren(inner) => has_let(&inner.expr),
        _ => false,
    }
}

/// What a function might return without doing anything.
fn values(output: &ReturnType) -> Vec<Expr> {
    match output {
        ReturnType::Default => vec![parse_quote!(())],
        ReturnType::Type(_, kind) => of_type(kind),
    }
}

fn of_type(kind: &Type) -> Vec<Expr> {
    let text = quote!(#kind).to_string().replace(' ', "");
    let inner = |name: &str| {
        let Type::Path(path) = kind else { return Vec::new() };
        let last = path.path.segments.last().filter(|segment| segment.ident == name);
        let Some(syn::PathArguments::AngleBracketed(arguments)) = last.map(|segment| &segment.arguments) else {
            return Vec::new();
        };
        match arguments.args.first() {
            Some(syn::GenericArgument::Type(kind)) => of_type(kind),
            _ => Vec::new(),
        }
    };
    match text.as_str() {
        "()" => vec![parse_quote!(())],
        "bool" => vec![parse_quote!(true), parse_quote!(false)],
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i32" | "i64" | "i128" => {
            vec![parse_quote!(0), parse_quote!(1)]
        }
        _ if text.starts_with("Option<") => vec![parse_quote!(None)],
        _ if text.starts_with("Result<") => inner("Result").iter().map(|value| parse_quote!(Ok(#value))).collect(),
        _ if ["Vec<", "BTreeMap<", "BTreeSet<", "HashMap<", "HashSet<", "String", "Money"]
            .iter()
            .any(|name| text.starts_with(name)) =>
        {
            vec![parse_quote!(Default::default())]
        }
        _ => Vec::new(),
    }
}

/// A line of code, cut.
fn brief(expr: &Expr) -> String {
    let text = expr.to_token_stream().to_string().replace(" . ", ".").replace(" (", "(").replace("& ", "&");
    text.chars().take(80).collect()
}
