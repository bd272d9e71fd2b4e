//! `#[derive(Events)]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, Ident, Result, Type, Variant};

use crate::option;

/// A variant and the event that it holds.
struct Held<'a> {
    name: &'a Ident,
    event: &'a Type,
}

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let held = held(input)?;
    let name = &input.ident;
    let decode = decode(&held);
    let different = different(&held);
    let list = held.iter().map(|Held { event, .. }| {
        quote! {
            types.push(::hence::core::EventType::of::<#event>());
        }
    });
    let list: Vec<_> = list.collect();
    let encode = held.iter().map(|Held { name, event }| {
        let draft = quote_spanned!(event.span()=> ::hence::core::Draft::of::<#event>(&event));
        quote!(Self::#name(event) => #draft,)
    });
    Ok(quote! {
        #[automatically_derived]
        impl ::hence::core::Input for #name {
            fn types(types: &mut ::std::vec::Vec<::hence::core::EventType>) {
                #(#list)*
            }

            #decode
        }

        #[automatically_derived]
        impl ::hence::core::IntoEvents for #name {
            fn types(types: &mut ::std::vec::Vec<::hence::core::EventType>) {
                #(#list)*
            }

            fn encode(
                self,
                drafts: &mut ::std::vec::Vec<::hence::core::Draft>,
            ) -> ::hence::Result<()> {
                drafts.push(match self { #(#encode)* }?);
                ::core::result::Result::Ok(())
            }
        }

        #different
    })
}

fn held(input: &DeriveInput) -> Result<Vec<Held<'_>>> {
    let name = &input.ident;
    let Data::Enum(data) = &input.data else {
        let text = format!(
            "`Events` is derived for an enum of events; if `{name}` itself is a fact, derive `Event`"
        );
        return option::error(name.span(), text);
    };
    if let Some(parameter) = input.generics.params.first() {
        let text = format!("`{name}` cannot have parameters: each variant holds one known event");
        return Err(Error::new_spanned(parameter, text));
    }
    if data.variants.is_empty() {
        let text = format!("`{name}` needs a variant for each event: `Placed(OrderPlaced)`");
        return option::error(name.span(), text);
    }
    let (mut held, mut errors) = (Vec::new(), Vec::new());
    for variant in &data.variants {
        match event_of(variant) {
            Ok(event) => held.push(Held {
                name: &variant.ident,
                event,
            }),
            Err(error) => errors.push(error),
        }
    }
    option::all(errors)?;
    Ok(held)
}

fn event_of(variant: &Variant) -> Result<&Type> {
    let name = &variant.ident;
    let has = match &variant.fields {
        Fields::Unnamed(fields) => match fields.unnamed.first() {
            Some(field) if fields.unnamed.len() == 1 => return Ok(&field.ty),
            _ => format!("{} fields", fields.unnamed.len()),
        },
        Fields::Named(_) => "named fields".to_owned(),
        Fields::Unit => "none".to_owned(),
    };
    let text = format!("`{name}` holds one event, `{name}(SomeEvent)`, but it has {has}");
    Err(Error::new_spanned(variant, text))
}

/// Decodes by the type that the message names.
fn decode(held: &[Held<'_>]) -> TokenStream {
    let arms = held.iter().map(|Held { name, event }| {
        quote! {
            if found == <#event as ::hence::Event>::TYPE {
                delivery.decode::<#event>().map(Self::#name)
            } else
        }
    });
    let types = held
        .iter()
        .map(|Held { event, .. }| quote!(<#event as ::hence::Event>::TYPE));
    quote! {
        fn decode(
            deliveries: &[::hence::core::Delivery],
        ) -> ::hence::Result<Self, ::hence::core::Undecodable> {
            let delivery = ::hence::core::extract::only(deliveries)?;
            let position = delivery.position;
            let found = delivery.message.attributes().event_type();
            let decoded = #(#arms)* {
                let wanted = [#(#types),*].join("', '");
                let detail = ::std::format!("wanted '{wanted}', found '{found}'");
                ::core::result::Result::Err(::hence::core::Code::UNDECODABLE.error(detail))
            };
            decoded.map_err(|error| ::hence::core::Undecodable { position, error })
        }
    }
}

/// Two variants of one type could not be told apart; the compiler finds them.
fn different(held: &[Held<'_>]) -> TokenStream {
    let pairs = held
        .iter()
        .enumerate()
        .flat_map(|(index, later)| held.iter().take(index).map(move |earlier| (earlier, later)));
    let checks = pairs.map(|(earlier, later)| {
        let (a, b) = (earlier.event, later.event);
        let text = format!(
            "`{}` and `{}` hold events of the same type; keep one of them",
            earlier.name, later.name
        );
        quote_spanned! {b.span()=>
            const _: () = ::core::assert!(
                !::hence::core::event::same_name(
                    <#a as ::hence::Event>::TYPE,
                    <#b as ::hence::Event>::TYPE,
                ),
                #text
            );
        }
    });
    quote!(#(#checks)*)
}
