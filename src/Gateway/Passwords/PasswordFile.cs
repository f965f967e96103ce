using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using OrleansCache.Gateway.Files;

namespace OrleansCache.Gateway.Passwords;

/// <summary>
/// The passwords of a file, kept current: the file is looked at every <see cref="Limits.PasswordFileCheckSeconds"/>, and read when it has changed and then
/// stayed the same until the next look, so that one that is being written is not taken for whole. The content is compared, not the time of its last change: a
/// link that leads to another file by now (as Kubernetes replaces secrets) is noticed, too. A file that cannot be used leaves the former passwords in force and
/// is logged once.
/// </summary>
public sealed class PasswordFile : PasswordCheck, IDisposable
{
    private readonly string _path;
    private readonly PasswordFileFormat _format;
    private readonly ILogger _logger;
    private readonly Lock _loading = new();
    private readonly ITimer _timer;
    private volatile PasswordTable _table;
    private byte[] _loadedDigest;
    private byte[]? _changedDigest;

    private PasswordFile(string path, PasswordFileFormat format, PasswordTable table, byte[] digest, TimeProvider timeProvider, ILogger logger)
    {
        _path = path;
        _format = format;
        _table = table;
        _loadedDigest = digest;
        _logger = logger;
        TimeSpan period = TimeSpan.FromSeconds(Limits.PasswordFileCheckSeconds);
        _timer = timeProvider.CreateTimer(_ => Check(), null, period, period);
    }

    /// <summary>Reads the file. Throws <see cref="GatewayStartException"/> with a sentence that says what is wrong with it.</summary>
    public static PasswordFile Open(string path, PasswordFileFormat format, TimeProvider timeProvider, ILoggerFactory loggerFactory)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(timeProvider);
        ArgumentNullException.ThrowIfNull(loggerFactory);
        PasswordTable table = Read(path, format, out byte[] digest, out string? error) ?? throw new GatewayStartException(error!);
        return new PasswordFile(path, format, table, digest, timeProvider, loggerFactory.CreateLogger("OrleansCache.Gateway.Passwords"));
    }

    public override bool IsRight(ReadOnlySpan<byte> user, ReadOnlySpan<byte> password) => _table.Contains(user, password);

    public override string? Reload()
    {
        lock (_loading)
        {
            PasswordTable? table = ReadAgain(out byte[] digest, out string? error);
            _loadedDigest = digest;
            _changedDigest = null;
            if (table is not null)
                _table = table;
            return error;
        }
    }

    public void Dispose() => _timer.Dispose();

    private static PasswordTable? Read(string path, PasswordFileFormat format, out byte[] digest, out string? error)
    {
        byte[] text;
        try
        {
            text = BoundedFile.Read(path, Limits.PasswordFileBytesMax);
        }
        catch (IOException failure)
        {
            digest = [];
            error = $"Could not open authfile [{path}] for reading, error {failure.Message}";
            return null;
        }

        digest = SHA256.HashData(text);
        PasswordTable? table = PasswordTable.Parse(text, format, out string? reason);
        error = table is null ? $"Authfile [{path}] {reason}" : null;
        CryptographicOperations.ZeroMemory(text);
        return table;
    }

    /// <summary>
    /// As <see cref="Read"/>, but a file without passwords, which would lock everybody out, is one that somebody has emptied or is writing.
    /// </summary>
    private PasswordTable? ReadAgain(out byte[] digest, out string? error)
    {
        PasswordTable? table = Read(_path, _format, out digest, out error);
        if (table is not { Count: 0 } || _table.Count == 0)
            return table;
        error = $"Authfile [{_path}] has no passwords";
        return null;
    }

    private void Check()
    {
        // One that takes longer than the time between two (a slow disk) is not overtaken.
        if (!_loading.TryEnter())
            return;
        try
        {
            PasswordTable? table = ReadAgain(out byte[] digest, out string? error);
            if (digest.AsSpan().SequenceEqual(_loadedDigest))
            {
                _changedDigest = null;
                return;
            }

            if (_changedDigest is null || !digest.AsSpan().SequenceEqual(_changedDigest))
            {
                _changedDigest = digest;
                return;
            }

            _loadedDigest = digest;
            _changedDigest = null;
            if (table is null)
            {
                Log.ReloadFailed(_logger, error!);
                return;
            }

            _table = table;
            Log.Reloaded(_logger, _path);
        }
        finally
        {
            _loading.Exit();
        }
    }
}
