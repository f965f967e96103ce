using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;

namespace OrleansCache.Gateway.Pipelines;

/// <summary>What carries a <see cref="PipelinesConnection"/>'s bytes: two pipes, and ways to end them.</summary>
internal abstract class PipelinesLink
{
    public abstract PipeReader Input { get; }

    public abstract PipeWriter Output { get; }

    /// <summary>Ends it at once; what reads or writes fails. From any thread.</summary>
    public abstract void Abort();

    /// <summary>After both pipes are completed: says goodbye if that is still possible, and lets go of the socket.</summary>
    public abstract ValueTask CloseAsync();

    /// <summary>Whether a read or a write that failed like this is a connection's usual end (a reset, an abort) and no defect.</summary>
    public abstract bool IsUsualEnd(Exception failure);
}

/// <summary>A connection of Kestrel's socket transport.</summary>
internal sealed class SocketLink(ConnectionContext connection) : PipelinesLink
{
    public override PipeReader Input => connection.Transport.Input;

    public override PipeWriter Output => connection.Transport.Output;

    public override void Abort() => connection.Abort();

    public override ValueTask CloseAsync() => connection.DisposeAsync();

    public override bool IsUsualEnd(Exception failure) => failure is IOException or ConnectionAbortedException or OperationCanceledException;
}
