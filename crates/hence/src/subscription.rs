//! `Subscription`: a durable, named binding of a handler to the events that it takes.

use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

use hence_core::{BoxFuture, Call, Effects, Handler, Options, Signature, Unhandled};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt};

/// A handler as the middleware of `tower` sees it: a service from a call to what follows.
pub type HandlerService = BoxCloneSyncService<Call, Effects, Unhandled>;

/// A durable, named binding of a handler to the events that it takes.
///
/// The name is written out and never derived from the function: renaming code can never make a
/// subscription begin again.
#[derive(Clone)]
pub struct Subscription {
    pub(crate) name: Arc<str>,
    pub(crate) signature: Signature,
    pub(crate) options: Options,
    pub(crate) handler: Arc<dyn AnyHandler>,
}

impl Subscription {
    /// Binds a handler under a durable name.
    pub fn new<Args: 'static>(name: &str, handler: impl Handler<Args>) -> Self {
        Self {
            name: name.into(),
            signature: handler.signature(),
            options: handler.options(),
            handler: Arc::new(Plain {
                handler,
                args: PhantomData,
            }),
        }
    }

    /// Changes its numbers.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// The durable name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The numbers.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn layered<L>(&mut self, layer: &L)
    where
        L: Layer<HandlerService>,
        L::Service: Service<Call, Response = Effects> + Clone + Send + Sync + 'static,
        <L::Service as Service<Call>>::Future: Send + 'static,
        <L::Service as Service<Call>>::Error: Into<Unhandled> + 'static,
    {
        let inner = BoxCloneSyncService::new(Inner(Arc::clone(&self.handler)));
        self.handler = Arc::new(Layered(BoxCloneSyncService::new(
            layer.layer(inner).map_err(Into::into),
        )));
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("name", &self.name)
            .field("takes", &self.signature.takes)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A function with `#[handler]`, which knows its subscription; `handlers![…]` lists them.
pub trait Registered {
    /// The subscription that the attribute describes.
    fn subscription() -> Subscription;
}

/// Lists functions with `#[handler]` for [`App::subscribe_all`](crate::App::subscribe_all).
///
/// The list is visible on purpose: nothing registers itself. The compiler warns about a private
/// handler that no list names, and says "expected type, found function" about a function in the
/// list that lacks `#[handler(name = "…")]`.
#[macro_export]
macro_rules! handlers {
    ($($handler:path),* $(,)?) => {
        [$(<$handler as $crate::subscription::Registered>::subscription()),*]
    };
}

/// A handler without its type.
pub(crate) trait AnyHandler: Send + Sync {
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Effects, Unhandled>>;
}

struct Plain<H, Args> {
    handler: H,
    args: PhantomData<fn(Args)>,
}

impl<Args: 'static, H: Handler<Args>> AnyHandler for Plain<H, Args> {
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Effects, Unhandled>> {
        self.handler.call(call)
    }
}

/// A handler under layers.
struct Layered(HandlerService);

impl AnyHandler for Layered {
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Effects, Unhandled>> {
        // A clone for each call, and `oneshot`, because a service must be ready before it is called.
        Box::pin(self.0.clone().oneshot(call))
    }
}

/// A handler as the innermost service.
#[derive(Clone)]
struct Inner(Arc<dyn AnyHandler>);

impl Service<Call> for Inner {
    type Response = Effects;
    type Error = Unhandled;
    type Future = BoxFuture<'static, Result<Effects, Unhandled>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unhandled>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        self.0.call(call)
    }
}
