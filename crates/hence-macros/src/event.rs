//! `#[derive(Event)]`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DeriveInput, Error, Fields, LitInt, LitStr, Member, Path, Result, Token,
};

use crate::option;

const OPTIONS: &[&str] = &["type", "key", "version", "upcasts"];

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let fields = fields(input)?;
    let Options {
        event_type,
        key,
        version,
        upcasts,
    } = Options::of(input)?;
    let name = &input.ident;
    let older = upcasts.as_ref().map(|older| {
        let text = format!("`{name}` upcasts an event of another type, or of no older version");
        quote_spanned! {older.span()=>
            const _: () = ::core::assert!(
                ::hence::core::event::is_older::<#older, #name>(), #text
            );
        }
    });
    let version = version.map(|version| quote!(const VERSION: u32 = #version;));
    let upcast = upcasts.map(|older| {
        quote_spanned! {older.span()=>
            fn upcast(version: u32, data: &[u8]) -> ::hence::Result<Self> {
                <#older as ::hence::Event>::read(version, data).map(::core::convert::Into::into)
            }
        }
    });
    let key = key.map(|path| key_of(input, fields, &path)).transpose()?;
    Ok(quote! {
        #older

        #[automatically_derived]
        impl ::hence::Event for #name {
            const TYPE: &'static str = #event_type;
            #version
            #key
            #upcast

            #[allow(unused_imports, clippy::needless_borrow)]
            fn copied(&self) -> ::core::option::Option<Self> {
                use ::hence::core::event::copy::{ByClone, Copier, NotAtAll};
                (&&Copier(self)).copied()
            }
        }
    })
}

/// What `#[event(…)]` says.
struct Options {
    event_type: LitStr,
    key: Option<Punctuated<Member, Token![.]>>,
    version: Option<LitInt>,
    /// The version before this one.
    upcasts: Option<Path>,
}

impl Options {
    fn of(input: &DeriveInput) -> Result<Self> {
        let (mut event_type, mut key) = (None, None);
        let (mut version, mut upcasts) = (None, None);
        let mut read = |name: &syn::Ident, input: ParseStream<'_>| {
            if name == "type" {
                let literal = option::string(input, "the type in quotes")?;
                check_type(&literal)?;
                event_type = Some(literal);
            } else if name == "key" {
                key = Some(key_path(input)?);
            } else if name == "version" {
                version = Some(version_of(input)?);
            } else if name == "upcasts" {
                let cure = "name the struct of the version before: `upcasts = OrderPlacedV1`";
                upcasts = Some(option::parse_as(input, cure)?);
            } else {
                return Err(option::unknown(name, OPTIONS));
            }
            Ok(())
        };
        let mut own = input.attrs.iter().filter(|attribute| is_ours(attribute));
        if let Some(attribute) = own.next() {
            let parser = |input: ParseStream<'_>| option::parse_each(input, &mut read);
            match &attribute.meta {
                syn::Meta::List(list) => parser.parse2(list.tokens.clone())?,
                other => return option::error(other.span(), missing_type(input)),
            }
        }
        if let Some(second) = own.next() {
            return Err(Error::new_spanned(
                second,
                "put all options into one `#[event(…)]`",
            ));
        }
        let span = input.ident.span();
        let event_type = event_type.ok_or_else(|| Error::new(span, missing_type(input)))?;
        Ok(Self {
            event_type,
            key,
            version,
            upcasts,
        })
    }
}

fn is_ours(attribute: &Attribute) -> bool {
    attribute.path().is_ident("event")
}

fn missing_type(input: &DeriveInput) -> String {
    let name = input.ident.unraw();
    let example = dotted(&name.to_string());
    format!("`{name}` needs a stable type: add `#[event(type = \"{example}\")]`")
}

/// `OrderPlaced` → `order.placed`.
fn dotted(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !text.is_empty() {
            text.push('.');
        }
        text.extend(c.to_lowercase());
    }
    text
}

fn check_type(literal: &LitStr) -> Result<()> {
    let text = literal.value();
    let bad = text.chars().find(|c| c.is_control() || c.is_whitespace());
    let problem = if text.is_empty() {
        "the type of an event cannot be empty; name the fact, such as `order.placed`".to_owned()
    } else if let Some(bad) = bad {
        format!(
            "the type of an event holds no spaces and no control characters, but this one has {bad:?}"
        )
    } else if text == "hence" || text.starts_with("hence.") {
        "types that begin with `hence.` are those of Hence itself; begin with a name of yours"
            .to_owned()
    } else {
        return Ok(());
    };
    option::error(literal.span(), problem)
}

fn version_of(input: ParseStream<'_>) -> Result<LitInt> {
    let cure = "a version is a number from 1 on: `version = 2`";
    let literal: LitInt = option::parse_as(input, cure)?;
    match literal.base10_parse::<u32>() {
        Ok(1..) => Ok(literal),
        _ => option::error(literal.span(), cure),
    }
}

fn key_path(input: ParseStream<'_>) -> Result<Punctuated<Member, Token![.]>> {
    let cure = "the key is a field, or a field of a field: `key = order_id`, `key = customer.id`";
    let span = input.span();
    let path = Punctuated::parse_separated_nonempty(input).map_err(|_| Error::new(span, cure))?;
    if input.is_empty() || input.peek(Token![,]) {
        Ok(path)
    } else {
        option::error(input.span(), cure)
    }
}

/// The fields of a struct; none for an enum, which is an event as a whole.
fn fields(input: &DeriveInput) -> Result<Option<&Fields>> {
    let name = &input.ident;
    if let Some(parameter) = input.generics.params.first() {
        let text = format!(
            "`{name}` has parameters, but an event is one type under one name, and owns its data; \
             write a struct for each"
        );
        return Err(Error::new_spanned(parameter, text));
    }
    let fields = match &input.data {
        Data::Struct(data) => Some(&data.fields),
        Data::Enum(_) => None,
        Data::Union(data) => {
            return option::error(data.union_token.span(), "an event is a struct, not a union");
        }
    };
    let inner: Box<dyn Iterator<Item = &Attribute>> = match &input.data {
        Data::Enum(data) => Box::new(data.variants.iter().flat_map(|variant| &variant.attrs)),
        _ => Box::new(fields.into_iter().flatten().flat_map(|field| &field.attrs)),
    };
    let misplaced = inner.filter(|attribute| is_ours(attribute));
    let text = format!("`#[event(…)]` belongs on `{name}`; a key is named there: `key = field`");
    option::all(misplaced.map(|a| Error::new_spanned(a, &text)).collect())?;
    Ok(fields)
}

/// `KEYED` and `key()`.
fn key_of(
    input: &DeriveInput,
    fields: Option<&Fields>,
    path: &Punctuated<Member, Token![.]>,
) -> Result<TokenStream> {
    let (Some(fields), Some(first)) = (fields, path.first()) else {
        let text = "an enum has no field for a key; hold it in a struct with the key beside it";
        return Err(Error::new_spanned(path, text));
    };
    if !fields.members().any(|member| same(&member, first)) {
        return option::error(first.span(), no_such_field(input, fields, first));
    }
    // The span of the last field, so that a field without a text is reported where it is named.
    let span = path.last().map_or_else(Span::call_site, Spanned::span);
    let text = quote_spanned! {span=> ::hence::core::event::KeyText::text(&self.#path) };
    Ok(quote! {
        const KEYED: bool = true;

        fn key(&self) -> ::core::option::Option<::std::borrow::Cow<'_, str>> {
            ::core::option::Option::Some(#text)
        }
    })
}

/// Whether two members name the same field, wherever they stand.
fn same(a: &Member, b: &Member) -> bool {
    match (a, b) {
        (Member::Named(a), Member::Named(b)) => a == b,
        (Member::Unnamed(a), Member::Unnamed(b)) => a.index == b.index,
        _ => false,
    }
}

fn no_such_field(input: &DeriveInput, fields: &Fields, wanted: &Member) -> String {
    let text = |member: &Member| match member {
        Member::Named(name) => name.to_string(),
        Member::Unnamed(index) => index.index.to_string(),
    };
    let known: Vec<_> = fields.members().map(|member| text(&member)).collect();
    let known: Vec<_> = known.iter().map(String::as_str).collect();
    let hint = match option::closest(&text(wanted), &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "it has none".to_owned(),
        None => format!("it has {}", option::quoted(&known)),
    };
    format!("`{}` has no field `{}`; {hint}", input.ident, text(wanted))
}
