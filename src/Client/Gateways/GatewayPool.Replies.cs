using System.Text;
using OrleansCache.Client.Entries;
using OrleansCache.Client.Wire;
using OrleansCache.Protocol.Meta;

namespace OrleansCache.Client.Gateways;

// What a reply means for the operation whose turn it was. Runs on a connection's reader.
internal sealed partial class GatewayPool
{
    public void OnReply(Connection connection, WireOperation operation, in MetaReplyLine line)
    {
        if (_metrics.IsEnabled)
            _metrics.OnReply(operation.Command, line.Kind, _time.GetElapsedTime(operation.DueAt - _timeoutTicks));
        switch (operation.Command)
        {
            case WireCommand.Get when line.Kind == MetaReplyKind.Value:
                OnValue(connection, operation, in line);
                break;
            case WireCommand.Get or WireCommand.Refresh or WireCommand.RefreshByValue or WireCommand.Extend when line.Kind == MetaReplyKind.NotFound:
                operation.Complete(found: false);
                break;
            case WireCommand.Set when line.Kind == MetaReplyKind.Done:
            case WireCommand.Remove when line.Kind is MetaReplyKind.Done or MetaReplyKind.NotFound:
            case WireCommand.Discover when line.Kind == MetaReplyKind.Value:
                operation.Complete(found: true);
                break;
            case WireCommand.Refresh when line.Kind == MetaReplyKind.Done:
            case WireCommand.RefreshByValue when line.Kind == MetaReplyKind.Value:
                OnRefreshed(operation, in line);
                break;
            case WireCommand.Extend when line.Kind == MetaReplyKind.Done:
                if (operation.HasExtendedTheRight(in line, _time.GetUtcNow()))
                    operation.Complete(found: true);
                else
                    Submit(operation);
                break;
            default:
                operation.Fail(Refusal(operation, in line));
                break;
        }

        operation.Release();
    }

    private void OnValue(Connection connection, WireOperation operation, in MetaReplyLine line)
    {
        if (!EntryLifetime.IsSliding(line.ClientFlags))
        {
            operation.Complete(found: true);
            return;
        }

        DateTimeOffset now = _time.GetUtcNow();
        if (!TryReadDeadline(operation, line.ClientFlags, now, out long deadline))
        {
            operation.DropValue();
            operation.Complete(found: false);
            return;
        }

        long? exptime = EntryLifetime.Extend(line.ClientFlags, deadline, line.SecondsToLive, now);
        WireOperation? extension = exptime is { } value ? WireOperation.RentExtension(operation, line.ClientFlags, value, DueAt) : null;
        operation.Complete(found: true);
        if (extension is not null)
        {
            // Nobody waits for it: where there is no room for it, the next read extends the entry.
            connection.TryEnqueue(extension);
            extension.Release();
        }
    }

    private void OnRefreshed(WireOperation operation, in MetaReplyLine line)
    {
        uint flags = line.ClientFlags;
        if (!EntryLifetime.IsSliding(flags))
        {
            operation.Complete(found: true);
            return;
        }

        if (EntryLifetime.IsWithDeadline(flags) && operation.Command == WireCommand.Refresh)
        {
            operation.Become(WireCommand.RefreshByValue);
            Submit(operation);
            return;
        }

        DateTimeOffset now = _time.GetUtcNow();
        if (!TryReadDeadline(operation, flags, now, out long deadline))
        {
            operation.Complete(found: false);
            return;
        }

        if (EntryLifetime.Extend(flags, deadline, line.SecondsToLive, now) is not { } exptime)
        {
            operation.Complete(found: true);
            return;
        }

        operation.Become(WireCommand.Extend, flags, exptime);
        Submit(operation);
    }

    /// <summary>False if the entry is over, or is none of ours. The value then begins behind the deadline.</summary>
    private static bool TryReadDeadline(WireOperation operation, uint flags, DateTimeOffset now, out long deadline)
    {
        deadline = 0;
        if (!EntryLifetime.IsWithDeadline(flags))
            return true;
        if (operation.Value.Length < EntryLifetime.DeadlineBytes)
            return false;
        deadline = EntryLifetime.ReadDeadline(operation.Value);
        operation.SkipValueBytes(EntryLifetime.DeadlineBytes);
        return !EntryLifetime.IsOverAt(deadline, now);
    }

    private static OrleansCacheException Refusal(WireOperation operation, in MetaReplyLine line)
    {
        string words = line.Text.IsEmpty ? line.Kind.ToString() : Encoding.UTF8.GetString(line.Text);
        if (line.Kind == MetaReplyKind.ServerError && words.StartsWith("object too large", StringComparison.Ordinal))
        {
            return new OrleansCacheException(
                OrleansCacheError.ValueTooLarge,
                $"The value of {operation.ValueBytes} bytes is larger than the item limit of the cache (option -I of its silos). "
                + "What the key held before is gone.");
        }

        if (words.Contains("unauthenticated", StringComparison.Ordinal))
            return new OrleansCacheException(OrleansCacheError.LoginRefused,
                $"The cache wants a login: set {nameof(OrleansCacheOptions.User)} and {nameof(OrleansCacheOptions.Password)}.");
        return new OrleansCacheException(OrleansCacheError.Refused, $"The cache refuses to {operation.Command.ToString().ToLowerInvariant()}: {words}");
    }
}
