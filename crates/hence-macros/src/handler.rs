//! `#[handler]`.
//!
//! The function stays as it is. Beside it stands a struct of its name, in the namespace of types,
//! which is the handler: it takes the arguments apart one by one, so that the compiler reports one
//! that does not fit at the argument itself.

mod options;
mod part;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Error, FnArg, ItemFn, Result, ReturnType, Type};

use crate::option;
use options::Options;

/// The most arguments of a handler.
const ARGUMENTS_MAX: usize = 8;

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let Ok(function) = &syn::parse2::<ItemFn>(item.clone()) else {
        let text = "`#[handler]` belongs on an `async fn` outside of any `impl`";
        let error = Error::new(Span::call_site(), text).into_compile_error();
        return quote!(#error #item);
    };
    let checked = check(function);
    let options = Options::parse(options, &function.sig.ident.unraw().to_string());
    let beside = match (checked, options) {
        (Ok(()), Ok(options)) => registered(&options, function),
        (checked, options) => {
            let errors: Vec<_> = [checked.err(), options.err()]
                .into_iter()
                .flatten()
                .collect();
            let errors = errors.into_iter().map(Error::into_compile_error);
            // The name stays known, so that `handlers![…]` does not fail a second time.
            let placeholder = placeholder(function);
            quote!(#(#errors)* #placeholder)
        }
    };
    quote!(#function #beside)
}

/// Every way in which the function itself cannot be a handler.
fn check(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    let mut errors = Vec::new();
    let mut refuse = |at: &dyn ToTokens, text: &str| errors.push(Error::new_spanned(at, text));
    if signature.asyncness.is_none() {
        refuse(
            &signature.fn_token,
            "a handler is an `async fn`: put `async` before `fn`",
        );
    }
    if let Some(parameter) = signature.generics.params.first() {
        let text = "a handler has no parameters of its own: name the types of its arguments";
        refuse(parameter, text);
    } else if let Some(clause) = &signature.generics.where_clause {
        refuse(
            clause,
            "a handler has no `where` clause: name the types of its arguments",
        );
    }
    if let Some(variadic) = &signature.variadic {
        refuse(variadic, "a handler names each of its arguments");
    }
    if signature.inputs.is_empty() {
        let text = "a handler takes an event first: an event, `Envelope<E>`, `Batch<E>`, or an \
                    enum with `#[derive(Events)]`";
        refuse(&signature.ident, text);
    }
    if let Some(ninth) = signature.inputs.iter().nth(ARGUMENTS_MAX) {
        let text = "a handler takes at most 8 arguments; put what it needs into one struct, and \
                    ask for that as `State<T>`";
        refuse(ninth, text);
    }
    for argument in &signature.inputs {
        match argument {
            FnArg::Receiver(receiver) => {
                let text = "a handler is a free function: ask for what `self` holds as `State<T>`";
                refuse(receiver, text);
            }
            FnArg::Typed(argument) => {
                if let Type::ImplTrait(ty) = &*argument.ty {
                    refuse(ty, "name the type of the argument in place of `impl …`");
                }
            }
        }
    }
    if let ReturnType::Type(_, ty) = &signature.output
        && matches!(**ty, Type::ImplTrait(_))
    {
        refuse(ty, "name the type of what follows in place of `impl …`");
    }
    option::all(errors)
}

/// The struct in the namespace of types.
fn marker(function: &ItemFn) -> TokenStream {
    let (name, visibility) = (&function.sig.ident, &function.vis);
    let conditions = conditions(function);
    quote! {
        #(#conditions)*
        #[doc(hidden)]
        #[allow(
            non_camel_case_types,
            missing_copy_implementations,
            missing_debug_implementations,
            unreachable_pub
        )]
        #visibility struct #name {}
    }
}

/// `#[cfg(…)]` holds for what stands beside the function, too.
fn conditions(function: &ItemFn) -> Vec<&syn::Attribute> {
    let is_condition = |attribute: &&syn::Attribute| attribute.path().is_ident("cfg");
    function.attrs.iter().filter(is_condition).collect()
}

/// Stands in for the handler of a function that cannot be one.
fn placeholder(function: &ItemFn) -> TokenStream {
    if function.sig.receiver().is_some() {
        // Within an `impl` there is no place for a type.
        return TokenStream::new();
    }
    let (name, marker, conditions) = (&function.sig.ident, marker(function), conditions(function));
    quote! {
        #marker
        #(#conditions)*
        impl ::hence::subscription::Registered for #name {
            fn subscription() -> ::hence::subscription::Subscription { loop {} }
        }
    }
}

fn registered(options: &Options, function: &ItemFn) -> TokenStream {
    let (name, marker, conditions) = (&function.sig.ident, marker(function), conditions(function));
    let durable_name = options.name();
    let (signature, call) = (signature(function), call(function));
    quote! {
        #marker

        #(#conditions)*
        #[automatically_derived]
        impl ::hence::subscription::Registered for #name {
            fn subscription() -> ::hence::subscription::Subscription {
                ::hence::subscription::Subscription::new(#durable_name, #name {})
            }
        }

        #(#conditions)*
        #[automatically_derived]
        impl ::hence::Handler<()> for #name {
            #signature
            #options
            #call
        }
    }
}

/// The types of the arguments: the first, and the others.
fn types(function: &ItemFn) -> Vec<&Type> {
    let inputs = function.sig.inputs.iter();
    let types = inputs.filter_map(|argument| match argument {
        FnArg::Typed(argument) => Some(&*argument.ty),
        FnArg::Receiver(_) => None,
    });
    types.collect()
}

fn reply(function: &ItemFn) -> TokenStream {
    match &function.sig.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => quote!(#ty),
    }
}

fn signature(function: &ItemFn) -> TokenStream {
    let types = types(function);
    let Some((input, others)) = types.split_first() else {
        return TokenStream::new();
    };
    let reply = reply(function);
    let batch = quote_spanned!(input.span()=> <#input as ::hence::core::Input>::BATCH);
    let takes = quote_spanned! {input.span()=>
        <#input as ::hence::core::Input>::types(&mut signature.takes);
    };
    let emits = quote_spanned! {reply.span()=>
        <#reply as ::hence::core::Reply>::types(&mut signature.emits);
    };
    let needs = others.iter().map(
        |ty| quote_spanned!(ty.span()=> <#ty as ::hence::core::Extract>::describe(&mut signature);),
    );
    quote! {
        fn signature(&self) -> ::hence::core::Signature {
            let mut signature = ::hence::core::Signature {
                batch: #batch,
                ..::core::default::Default::default()
            };
            #takes
            #emits
            #(#needs)*
            signature
        }
    }
}

fn call(function: &ItemFn) -> TokenStream {
    let types = types(function);
    let Some((input, others)) = types.split_first() else {
        return TokenStream::new();
    };
    let (name, reply) = (&function.sig.ident, reply(function));
    let decode = quote_spanned! {input.span()=>
        <#input as ::hence::core::Input>::decode(call.deliveries())?
    };
    let needs: Vec<_> = (1..=others.len())
        .map(|n| format_ident!("need_{n}"))
        .collect();
    let extract = others.iter().zip(&needs).map(|(ty, need)| {
        quote_spanned! {ty.span()=>
            let #need = <#ty as ::hence::core::Extract>::extract(&call)?;
        }
    });
    let follow = quote_spanned! {reply.span()=>
        <#reply as ::hence::core::Reply>::reply(reply, &mut effects.events)?;
    };
    // A future that is not `Send` is reported at the name of the function.
    let work = quote_spanned! {name.span()=>
        ::std::boxed::Box::pin(async move {
            let input = #decode;
            #(#extract)*
            let published = ::hence::core::extract::Published::of(call);
            let reply = #name(input, #(#needs),*).await;
            let mut effects = published.take();
            #follow
            ::core::result::Result::Ok(effects.complete()?)
        })
    };
    quote! {
        fn call(
            &self,
            call: ::hence::core::Call,
        ) -> ::hence::core::BoxFuture<
            'static,
            ::hence::Result<::hence::core::Effects, ::hence::core::Unhandled>,
        > {
            #work
        }
    }
}
