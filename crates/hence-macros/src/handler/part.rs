//! Options that have parts: `throttle(calls = 10, per = "1m")`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::parse::ParseStream;
use syn::{Error, Ident, Lit, LitStr, Result, parenthesized, token};

use super::options::{duration, from_one, variant};
use crate::option;

/// The rule of CloudEvents for the names of attributes.
const ATTRIBUTE_LENGTH_MAX: usize = 64;

/// What a part is.
#[derive(Clone, Copy)]
enum Kind {
    Count,
    Time,
    Number,
    Attribute,
    Weights,
    /// One of these words, each with its type and variant.
    Word(&'static str, &'static [(&'static str, &'static str)]),
}

/// An option with its parts.
struct Group {
    name: &'static str,
    /// Its parts are fields of the options themselves, with the name of the group before theirs.
    flat: bool,
    parts: &'static [(&'static str, Kind)],
}

const fn group(name: &'static str, parts: &'static [(&'static str, Kind)]) -> Group {
    Group {
        name,
        flat: false,
        parts,
    }
}

const WHILE: Kind = Kind::Word("While", &[("skip", "Skip"), ("cancel", "Cancel")]);
const SHEDDING: Kind = Kind::Word("Shedding", &[("later", "Later"), ("reject", "Reject")]);

const GROUPS: &[Group] = &[
    group(
        "retry",
        &[
            ("attempts", Kind::Count),
            ("first", Kind::Time),
            ("factor", Kind::Number),
            ("max", Kind::Time),
        ],
    ),
    group(
        "retry_budget",
        &[("share", Kind::Number), ("per_second", Kind::Number)],
    ),
    group(
        "breaker",
        &[
            ("failures", Kind::Count),
            ("share", Kind::Number),
            ("probe", Kind::Time),
        ],
    ),
    Group {
        name: "batch",
        flat: true,
        parts: &[
            ("events", Kind::Count),
            ("bytes", Kind::Count),
            ("age", Kind::Time),
            ("by", Kind::Attribute),
        ],
    },
    group("limit", &[("by", Kind::Attribute), ("most", Kind::Count)]),
    group("throttle", &[("calls", Kind::Count), ("per", Kind::Time)]),
    group(
        "rate_limit",
        &[
            ("events", Kind::Count),
            ("per", Kind::Time),
            ("by", Kind::Attribute),
        ],
    ),
    group(
        "debounce",
        &[
            ("by", Kind::Attribute),
            ("quiet", Kind::Time),
            ("most", Kind::Time),
        ],
    ),
    group("singleton", &[("by", Kind::Attribute), ("then", WHILE)]),
    group(
        "fair",
        &[("by", Kind::Attribute), ("weights", Kind::Weights)],
    ),
    group("shed", &[("wait", Kind::Time), ("then", SHEDDING)]),
    group("adaptive", &[("least", Kind::Count), ("most", Kind::Count)]),
];

/// The statements that set an option with parts; `None` when it is none of these.
pub(super) fn setting(option: &Ident, input: ParseStream<'_>) -> Result<Option<TokenStream>> {
    let Some(group) = GROUPS.iter().find(|group| option == group.name) else {
        return Ok(None);
    };
    if !input.peek(token::Paren) {
        return Ok(Some(short(group, option, input)?));
    }
    let inner;
    parenthesized!(inner in input);
    let mut settings = Vec::new();
    option::parse_each(&inner, |part, input| {
        let known = group.parts.iter().find(|(name, _)| part == name);
        let Some((name, kind)) = known else {
            let names: Vec<_> = group.parts.iter().map(|(name, _)| *name).collect();
            return Err(option::unknown(part, &names));
        };
        let value = value(*kind, input)?;
        let optional = *name == "by" && matches!(group.name, "batch" | "rate_limit");
        let value = if optional {
            quote!(::core::option::Option::Some(#value))
        } else {
            value
        };
        settings.push(place(group, name, &value));
        Ok(())
    })?;
    if settings.is_empty() && !group.flat && group.name != "retry" {
        settings.push(quote!(options.#option.get_or_insert_default();));
    }
    Ok(Some(quote!(#(#settings)*)))
}

/// `retry = 5`, or `"off"`.
fn short(group: &Group, option: &Ident, input: ParseStream<'_>) -> Result<TokenStream> {
    if group.name == "retry" {
        let attempts = from_one(input, "attempts in all, the first included")?;
        return Ok(quote!(options.retry.attempts = #attempts;));
    }
    let parts: Vec<_> = group
        .parts
        .iter()
        .map(|(name, _)| format!("{name} = …"))
        .collect();
    let name = group.name;
    let cure = if group.flat {
        format!("write its parts: `{name}({})`", parts.join(", "))
    } else {
        format!(
            "write its parts, `{name}({})`, or `{name} = \"off\"`",
            parts.join(", ")
        )
    };
    let literal: LitStr = option::parse_as(input, &cure)?;
    if group.flat || literal.value() != "off" {
        return option::error(literal.span(), cure);
    }
    Ok(quote!(options.#option = ::core::option::Option::None;))
}

fn place(group: &Group, part: &str, value: &TokenStream) -> TokenStream {
    let (name, field) = (format_ident!("{}", group.name), format_ident!("{part}"));
    if group.flat {
        let field = format_ident!("{}_{part}", group.name);
        quote!(options.#field = #value;)
    } else if group.name == "retry" {
        quote!(options.retry.#field = #value;)
    } else {
        quote!(options.#name.get_or_insert_default().#field = #value;)
    }
}

fn value(kind: Kind, input: ParseStream<'_>) -> Result<TokenStream> {
    Ok(match kind {
        Kind::Count => {
            let count = from_one(input, "most there may be")?;
            quote!(#count)
        }
        Kind::Time => duration(input)?,
        Kind::Number => number(input)?,
        Kind::Attribute => {
            let literal = option::string(input, "the name of an attribute in quotes")?;
            let text = literal.value();
            let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            let length = (1..=ATTRIBUTE_LENGTH_MAX).contains(&text.len());
            if !length || !text.bytes().all(good) {
                let text = format!("'{text}' is not the name of an attribute: use a-z and 0-9");
                return option::error(literal.span(), text);
            }
            quote!(::hence::core::By::new(#literal))
        }
        Kind::Word(name, words) => {
            let (name, word) = (variant(name), variant(option::one_of(input, words)?));
            quote!(::hence::core::flow::#name::#word)
        }
        Kind::Weights => weights(input)?,
    })
}

/// A number that is not less than zero.
fn number(input: ParseStream<'_>) -> Result<TokenStream> {
    let cure = "write a number that is not below zero, such as `0.5`";
    let literal: Lit = option::parse_as(input, cure)?;
    let number = match &literal {
        Lit::Float(float) => float.base10_parse::<f64>().ok(),
        Lit::Int(int) => int.base10_parse::<u32>().ok().map(f64::from),
        _ => None,
    };
    let number = number.filter(|number| number.is_finite() && *number >= 0.0);
    let number = number.ok_or_else(|| Error::new(literal.span(), cure))?;
    Ok(quote!(#number))
}

/// `"gold=3, silver=2"`.
fn weights(input: ParseStream<'_>) -> Result<TokenStream> {
    let literal = option::string(input, "weights in quotes, such as `\"gold=3, silver=2\"`")?;
    let mut pairs = Vec::new();
    for part in literal
        .value()
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let pair = part.rsplit_once('=').and_then(|(name, weight)| {
            let weight = weight
                .trim()
                .parse::<u32>()
                .ok()
                .filter(|weight| *weight > 0)?;
            Some((name.trim().to_owned(), weight))
        });
        let Some((name, weight)) = pair else {
            let text =
                format!("'{part}' is not a weight: write a name and a number from 1, `gold=3`");
            return option::error(literal.span(), text);
        };
        pairs.push(quote!((::std::string::String::from(#name), #weight)));
    }
    Ok(quote!(::std::collections::BTreeMap::from([#(#pairs),*])))
}
