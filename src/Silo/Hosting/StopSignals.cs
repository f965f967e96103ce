using System.Runtime.InteropServices;

namespace OrleansCache.Silo.Hosting;

/// <summary>SIGINT and SIGTERM ask for a clean stop; the second of them ends the process at once. SIGHUP, which has nothing to reload yet, is ignored.</summary>
internal sealed class StopSignals : IDisposable
{
    private readonly TaskCompletionSource<PosixSignal> _asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<PosixSignalRegistration> _registrations = [];
    private readonly CancellationTokenSource _cancellation = new();
    private int _count;

    public StopSignals()
    {
        Posix.StopIgnoringInterrupt();
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGINT, OnStop));
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnStop));
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGHUP, context => context.Cancel = true));
    }

    /// <summary>Ends when a stop has been asked for.</summary>
    public Task<PosixSignal> Asked => _asked.Task;

    /// <summary>Cancelled when a stop has been asked for: for what waits while starting.</summary>
    public CancellationToken Token => _cancellation.Token;

    public void Dispose()
    {
        foreach (PosixSignalRegistration registration in _registrations)
            registration.Dispose();
        _cancellation.Dispose();
    }

    private void OnStop(PosixSignalContext context)
    {
        context.Cancel = true;
        if (Interlocked.Increment(ref _count) > 1)
        {
            if (OperatingSystem.IsWindows())
                Environment.Exit(ExitCode.Interrupted);
            Posix.ExitAtOnce(ExitCode.Interrupted);
        }

        _asked.TrySetResult(context.Signal);
        _cancellation.Cancel();
    }
}
