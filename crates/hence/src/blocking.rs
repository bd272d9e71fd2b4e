//! `blocking`: a handler that keeps a thread for as long as it works.

use std::panic::resume_unwind;

use hence_core::{
    BoxFuture, Call, Code, Effects, Failure, Handler, Signature, Unhandled,
    extract::{Extract, Input, Published},
    handler::Reply,
};
use tokio::sync::Semaphore;

/// How many blocking handlers of one process work at a time; others wait for one of them. The wait
/// counts towards the time-out of the attempt.
pub const CALLS_MAX: usize = 64;

static CALLS: Semaphore = Semaphore::const_new(CALLS_MAX);

/// A function that computes or waits without `await`, as a handler.
///
/// It runs on a thread of its own, so that it keeps no async handler waiting:
///
/// ```
/// use hence::{App, Event, blocking};
/// #[derive(Event, serde::Serialize, serde::Deserialize)]
/// #[event(type = "image.uploaded")]
/// struct ImageUploaded { pixels: Vec<u8> }
/// fn resize(image: ImageUploaded) -> Result<(), std::io::Error> {
///     let _half: Vec<_> = image.pixels.chunks(2).map(|pair| pair[0]).collect();
///     Ok(())
/// }
/// App::new("gallery").subscribe("resize", blocking(resize)).check().unwrap();
/// ```
///
/// # Cancellation
/// A thread cannot be stopped. After a time-out the attempt has failed and is tried again while the
/// first one may still work; a drain does not wait for it, and the end of the process ends it.
pub fn blocking<F>(function: F) -> Blocking<F> {
    Blocking(function)
}

/// What [`blocking`] returns.
#[derive(Clone, Debug)]
pub struct Blocking<F>(F);

macro_rules! handlers {
    ($($name:ident)*) => {
        #[diagnostic::do_not_recommend]
        #[allow(non_snake_case, reason = "the type parameters name the arguments")]
        impl<F, I, $($name,)* R> Handler<(F, I, $($name,)* R)> for Blocking<F>
        where
            F: Fn(I, $($name),*) -> R + Clone + Send + Sync + 'static,
            I: Input,
            $($name: Extract,)*
            R: Reply,
        {
            fn signature(&self) -> Signature {
                let mut signature = Signature { batch: I::BATCH, ..Signature::default() };
                I::types(&mut signature.takes);
                R::types(&mut signature.emits);
                $($name::describe(&mut signature);)*
                signature
            }

            fn call(&self, call: Call) -> BoxFuture<'static, Result<Effects, Unhandled>> {
                let function = self.0.clone();
                Box::pin(async move {
                    let input = I::decode(call.deliveries())?;
                    $(let $name = $name::extract(&call)?;)*
                    let published = Published::of(call);
                    let reply = on_a_thread(move || function(input, $($name),*)).await?;
                    let mut effects = published.take();
                    reply.reply(&mut effects.events)?;
                    Ok(effects.complete()?)
                })
            }
        }
    };
}

handlers!();
handlers!(A);
handlers!(A B);
handlers!(A B C);
handlers!(A B C D);
handlers!(A B C D E);
handlers!(A B C D E G);
handlers!(A B C D E G H);

/// Runs a function where it may block; its panic is passed on.
async fn on_a_thread<R: Send + 'static>(
    function: impl FnOnce() -> R + Send + 'static,
) -> Result<R, Failure> {
    let stopped = || Failure::retry(Code::CLOSED.error("the process stops"));
    let call = CALLS.acquire().await.map_err(|_| stopped())?;
    let done = tokio::task::spawn_blocking(move || {
        // The thread holds the place also after whoever waited for it has gone.
        let _call = call;
        function()
    });
    match done.await {
        Ok(reply) => Ok(reply),
        Err(ended) if ended.is_panic() => resume_unwind(ended.into_panic()),
        Err(_) => Err(stopped()),
    }
}
