//! What `#[handler(…)]` says.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::{ParseStream, Parser};
use syn::{Error, Ident, LitInt, LitStr, Result};

use super::part;
use crate::option;

const OPTIONS: &[&str] = &[
    "name",
    "retry",
    "timeout",
    "concurrency",
    "order",
    "after",
    "from",
    "after_dead_letter",
    "causation_depth",
    "crashes",
    "retry_budget",
    "breaker",
    "batch",
    "limit",
    "throttle",
    "rate_limit",
    "debounce",
    "singleton",
    "fair",
    "shed",
    "adaptive",
];
/// The rule of the library for the names of subscriptions.
const NAME_LENGTH_MAX: usize = 63;

/// The name, and for each number that is given one statement that sets it.
pub(super) struct Options {
    name: LitStr,
    settings: Vec<TokenStream>,
}

impl Options {
    /// Reads the options of the function of this name.
    pub(super) fn parse(tokens: TokenStream, function: &str) -> Result<Self> {
        let (mut name, mut settings) = (None, Vec::new());
        let read = |option: &Ident, input: ParseStream<'_>| {
            if option == "name" {
                name = Some(durable_name(input)?);
            } else if let Some(parts) = part::setting(option, input)? {
                settings.push(parts);
            } else {
                settings.push(setting(option, input)?);
            }
            Ok(())
        };
        (|input: ParseStream<'_>| option::parse_each(input, read)).parse2(tokens)?;
        let name = name.ok_or_else(|| {
            let example = function.trim_matches('_').replace('_', "-").to_lowercase();
            let text = format!(
                "a subscription has a name that outlives renamings of the function: \
                 `#[handler(name = \"{example}\")]`"
            );
            Error::new(proc_macro2::Span::call_site(), text)
        })?;
        Ok(Self { name, settings })
    }

    pub(super) fn name(&self) -> &LitStr {
        &self.name
    }
}

impl ToTokens for Options {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let settings = &self.settings;
        if settings.is_empty() {
            return;
        }
        tokens.extend(quote! {
            fn options(&self) -> ::hence::core::Options {
                let mut options = <::hence::core::Options as ::core::default::Default>::default();
                #(#settings)*
                options
            }
        });
    }
}

fn durable_name(input: ParseStream<'_>) -> Result<LitStr> {
    let literal = option::string(input, "the name in quotes")?;
    let text = literal.value();
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let length = (1..=NAME_LENGTH_MAX).contains(&text.len());
    if length && text.chars().all(good) && !text.starts_with('-') {
        return Ok(literal);
    }
    let text = format!(
        "'{text}' cannot name a subscription: use 1 to {NAME_LENGTH_MAX} of a-z, 0-9 and -, the \
         first not a -"
    );
    option::error(literal.span(), text)
}

/// The statement that sets one number.
fn setting(option: &Ident, input: ParseStream<'_>) -> Result<TokenStream> {
    Ok(match option.to_string().as_str() {
        "timeout" => {
            let limit = duration(input)?;
            quote!(options.timeout = #limit;)
        }
        "concurrency" => {
            let workers = from_one(input, "deliveries at a time")?;
            quote!(options.concurrency = #workers;)
        }
        "order" => {
            let words = [
                ("per-key", "PerKey"),
                ("fifo", "Fifo"),
                ("any", "Any"),
                ("lifo", "Lifo"),
                ("adaptive-lifo", "AdaptiveLifo"),
                ("priority", "Priority"),
                ("priority-auto", "PriorityAuto"),
                ("deadline", "Deadline"),
            ];
            let order = variant(option::one_of(input, &words)?);
            quote!(options.order = ::hence::core::Order::#order;)
        }
        "after" => {
            let names = names(input)?;
            quote!(options.after = ::std::vec![#(::std::string::String::from(#names)),*];)
        }
        "from" => {
            let words = [("latest", "Latest"), ("earliest", "Earliest")];
            let start = variant(option::one_of(input, &words)?);
            quote!(options.start = ::hence::core::Start::#start;)
        }
        "after_dead_letter" => {
            let words = [("hold", "Hold"), ("continue", "Continue")];
            let then = variant(option::one_of(input, &words)?);
            quote!(options.after_dead_letter = ::hence::core::AfterDeadLetter::#then;)
        }
        "causation_depth" => {
            let events = from_one(input, "events that may cause one another")?;
            quote!(options.causation_depth = #events;)
        }
        "crashes" => {
            let crashes = crashes(input)?;
            quote!(options.crashes = #crashes;)
        }
        _ => return Err(option::unknown(option, OPTIONS)),
    })
}

/// A number of crashes, or `"off"`.
fn crashes(input: ParseStream<'_>) -> Result<TokenStream> {
    if input.peek(LitStr) {
        option::one_of(input, &[("off", ())])?;
        return Ok(quote!(::core::option::Option::None));
    }
    let crashes = from_one(
        input,
        "crashes in a row at which an event is seen, or `\"off\"`",
    )?;
    Ok(quote!(::core::option::Option::Some(#crashes)))
}

/// Names of subscriptions, with commas between them.
fn names(input: ParseStream<'_>) -> Result<Vec<String>> {
    let literal = option::string(input, "the name of another subscription")?;
    let names = literal.value();
    let names: Vec<_> = names
        .split(',')
        .map(|name| name.trim().to_owned())
        .collect();
    if names.iter().any(String::is_empty) {
        return option::error(
            literal.span(),
            "write names of subscriptions, with commas between them",
        );
    }
    Ok(names)
}

pub(super) fn variant(name: &str) -> Ident {
    Ident::new(name, proc_macro2::Span::call_site())
}

/// A whole number from 1, that fits where it goes on every platform.
pub(super) fn from_one(input: ParseStream<'_>, what: &str) -> Result<LitInt> {
    let cure = format!("write a whole number from 1: the {what}");
    let literal: LitInt = option::parse_as(input, &cure)?;
    match literal.base10_parse::<u32>() {
        Ok(number) if number > 0 && literal.suffix().is_empty() => Ok(literal),
        _ => option::error(literal.span(), cure),
    }
}

/// A time of at least a millisecond, as text: `250ms`, `10s`, `5m`, `1h`.
pub(super) fn duration(input: ParseStream<'_>) -> Result<TokenStream> {
    let cure = "write a time as text, from 1 ms: `\"250ms\"`, `\"10s\"`, `\"5m\"`, `\"1h\"`";
    let literal: LitStr = option::parse_as(input, cure)?;
    let millis = milliseconds(&literal.value()).ok_or_else(|| Error::new(literal.span(), cure))?;
    Ok(quote!(::core::time::Duration::from_millis(#millis)))
}

fn milliseconds(text: &str) -> Option<u64> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let millis = number.parse::<u64>().ok()?.checked_mul(factor)?;
    (millis > 0).then_some(millis)
}
