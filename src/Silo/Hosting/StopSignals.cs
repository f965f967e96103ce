using System.Runtime.InteropServices;

namespace OrleansCache.Silo.Hosting;

/// <summary>
/// SIGINT, SIGTERM, memcached's SIGUSR1 and the command `shutdown` ask for a clean stop; the second signal ends the process at once. SIGHUP asks for
/// certificates and passwords to be read again.
/// </summary>
internal sealed class StopSignals : IDisposable
{
    private readonly TaskCompletionSource<string> _asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<PosixSignalRegistration> _registrations = [];
    private readonly CancellationTokenSource _cancellation = new();
    private int _count;

    public StopSignals()
    {
        Posix.StopIgnoringSignals();
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGHUP, OnHangUp));
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGINT, OnStop));
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnStop));
        if (!OperatingSystem.IsWindows())
            _registrations.Add(PosixSignalRegistration.Create((PosixSignal)Posix.SignalUser1, OnGracefulStop));
    }

    /// <summary>What SIGHUP does; nothing before it is set.</summary>
    public Action? HungUp { get; set; }

    /// <summary>Ends when a stop has been asked for, with what asked.</summary>
    public Task<string> Asked => _asked.Task;

    /// <summary>Cancelled when a stop has been asked for: for what waits while starting.</summary>
    public CancellationToken Token => _cancellation.Token;

    public void Dispose()
    {
        foreach (PosixSignalRegistration registration in _registrations)
            registration.Dispose();
        _cancellation.Dispose();
    }

    private void OnHangUp(PosixSignalContext context)
    {
        context.Cancel = true;
        HungUp?.Invoke();
    }

    /// <summary>The command `shutdown`.</summary>
    public void Ask(bool gracefully)
    {
        if (gracefully)
            SayGracefully();
        _asked.TrySetResult(gracefully ? "shutdown graceful" : "shutdown");
        _cancellation.Cancel();
    }

    private static void SayGracefully() => Console.Error.WriteLine("Gracefully stopping");

    private void OnGracefulStop(PosixSignalContext context)
    {
        SayGracefully();
        OnStop(context);
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

        _asked.TrySetResult((int)context.Signal == Posix.SignalUser1 ? "SIGUSR1" : context.Signal.ToString());
        _cancellation.Cancel();
    }
}
