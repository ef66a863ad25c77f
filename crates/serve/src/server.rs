//! The listening socket, from the first connection to the last answer.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use crate::app::App;
use crate::routes::router;

/// How often the keys are read again, so that a change made by another process counts here.
const RELOAD_KEYS: Duration = Duration::from_secs(10);

/// Serves until `stop` is done, then lets running requests finish (at most the grace of the settings), then writes out
/// what is only in memory.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let grace = Duration::from_millis(app.parts.settings.shutdown_grace_ms);
    let (stopping, mut stopped) = tokio::sync::watch::channel(false);
    let signalled = {
        let app = Arc::clone(&app);
        async move {
            stop.await;
            app.begin_stop();
            tracing::info!("stopping: no new connections, running requests may finish");
            let _ = stopping.send(true);
        }
    };
    let reloading = tokio::spawn(reload_keys(Arc::clone(&app)));
    let watched = Arc::clone(&app);
    let watching = tokio::spawn(async move { watched.admission.watch_lag().await });
    let listener = listener.tap_io(|stream| {
        // Answers are small and final: waiting to fill a packet only costs time.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
    });
    let serving = axum::serve(listener, router(&app)).with_graceful_shutdown(signalled);
    let result = tokio::select! {
        result = async { serving.await } => result,
        () = async {
            let _ = stopped.wait_for(|stopped| *stopped).await;
            tokio::time::sleep(grace).await;
        } => {
            tracing::warn!("requests were still running after the grace; they are cut off");
            Ok(())
        }
    };
    reloading.abort();
    watching.abort();
    let finished = tokio::task::spawn_blocking(move || {
        app.parts.recorder.flush();
        app.parts.vitals.finish();
    });
    if let Err(error) = finished.await {
        tracing::error!(%error, "the last writes panicked");
    }
    result
}

async fn reload_keys(app: Arc<App>) {
    loop {
        tokio::time::sleep(RELOAD_KEYS).await;
        let app = Arc::clone(&app);
        match tokio::task::spawn_blocking(move || app.parts.keys.reload()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the keys could not be read again"),
            Err(error) => tracing::error!(%error, "reading the keys again panicked"),
        }
    }
}
