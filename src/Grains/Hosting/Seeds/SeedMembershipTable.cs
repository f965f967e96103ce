using System.Globalization;
using OrleansCache.Membership;

namespace OrleansCache.Grains.Hosting.Seeds;

/// <summary>
/// Orleans's membership table over the seeds' register: the register's content is the whole table (<see cref="MembershipContent"/>), and every change is a
/// compare-and-swap of it. Rows and table have etags of their own, so that a change of the set of seeds, which is a change of the register, too, disturbs
/// nobody. Times of life go beside the register, and are merged into what is read.
/// <para>
/// A change whose outcome is unknown ends with an exception, as with any store; Orleans reads and tries again.
/// </para>
/// </summary>
internal sealed class SeedMembershipTable(IClusterRegister register, SeedId self = default) : IMembershipTable
{
    /// <summary>The register changes under a writer at most a few times: others write now and then.</summary>
    private const int TriesMax = 16;

    private volatile RegisterSnapshot? _newest;
    private volatile MembershipContent? _newestContent;

    /// <summary>Called after each reading, with null, or with what went wrong.</summary>
    public Action<Exception?>? Read { get; set; }

    /// <summary>What was read last; null before that.</summary>
    public RegisterSnapshot? Newest => _newest;

    /// <summary>The same as rows. Not to be changed.</summary>
    public MembershipContent? NewestContent => _newestContent;

    public Task InitializeMembershipTable(bool tryInitTableVersion) => ReadContentAsync();

    public async Task DeleteMembershipTableEntries(string clusterId) =>
        await ChangeAsync(
            static content =>
            {
                content.RemoveAll();
                return true;
            });

    public async Task CleanupDefunctSiloEntries(DateTimeOffset beforeDate) => await ChangeAsync(content => content.RemoveDefunct(beforeDate));

    public async Task<MembershipTableData> ReadRow(SiloAddress key)
    {
        (RegisterSnapshot snapshot, MembershipContent content) = await ReadContentAsync();
        TableVersion version = VersionOf(content);
        return content.Find(key) is { } row ? new MembershipTableData(ToTuple(row, snapshot), version) : new MembershipTableData(version);
    }

    public async Task<MembershipTableData> ReadAll()
    {
        (RegisterSnapshot snapshot, MembershipContent content) = await ReadContentAsync();
        return new MembershipTableData([.. content.Rows.Select(row => ToTuple(row, snapshot))], VersionOf(content));
    }

    public Task<bool> InsertRow(MembershipEntry entry, TableVersion tableVersion)
    {
        if (entry is null || tableVersion is null)
            return Task.FromException<bool>(new ArgumentNullException(entry is null ? nameof(entry) : nameof(tableVersion)));
        return ChangeAsync(content =>
        {
            if (Text(content.TableEtag) != tableVersion.VersionEtag || content.Find(entry.SiloAddress) is not null)
                return false;
            if (content.Rows.Count >= MembershipContent.RowsMax)
                throw new InvalidOperationException($"The membership table has {content.Rows.Count} rows, and takes no more.");

            // A silo writes its own first row, and nobody else does.
            content.Put(entry, SeedText.Format(self), tableVersion.Version);
            return true;
        });
    }

    public Task<bool> UpdateRow(MembershipEntry entry, string etag, TableVersion tableVersion) => ChangeAsync(content =>
    {
        if (Text(content.TableEtag) != tableVersion.VersionEtag || content.Find(entry.SiloAddress) is not { } row || Text(row.Etag) != etag)
            return false;
        content.Put(entry, row.Seed, tableVersion.Version);
        return true;
    });

    public async Task UpdateIAmAlive(MembershipEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        await register.ReportAliveAsync(
            entry.SiloAddress.ToParsableString(), new DateTimeOffset(DateTime.SpecifyKind(entry.IAmAliveTime, DateTimeKind.Utc)));
    }

    /// <summary>
    /// Changes the content as <paramref name="change"/> wants, which may be called several times; it returns false to leave it as it is, and so does this.
    /// </summary>
    public async Task<bool> ChangeAsync(Func<MembershipContent, bool> change, CancellationToken cancellationToken = default)
    {
        RegisterSnapshot snapshot = await register.ReadAsync(cancellationToken);
        for (int i = 0; i < TriesMax; i++)
        {
            MembershipContent content = Decode(snapshot);
            if (!change(content))
            {
                Note(snapshot, Decode(snapshot));
                return false;
            }

            WriteResult result = await register.TryWriteAsync(snapshot.Version, content.Encode(), cancellationToken);
            snapshot = result.Current;
            if (result.Written)
            {
                Note(snapshot, content);
                return true;
            }
        }

        return false;
    }

    private static string Text(long etag) => etag.ToString(CultureInfo.InvariantCulture);

    private static TableVersion VersionOf(MembershipContent content) => new(content.TableVersion, Text(content.TableEtag));

    private static Tuple<MembershipEntry, string> ToTuple(SiloRow row, RegisterSnapshot snapshot)
    {
        MembershipEntry entry = MembershipContent.Copy(row.Entry);
        if (snapshot.Alive.TryGetValue(entry.SiloAddress.ToParsableString(), out DateTimeOffset alive) && alive.UtcDateTime > entry.IAmAliveTime)
            entry.IAmAliveTime = alive.UtcDateTime;
        return Tuple.Create(entry, Text(row.Etag));
    }

    private static MembershipContent Decode(RegisterSnapshot snapshot) => MembershipContent.Decode(snapshot.Content.Span)
        ?? throw new InvalidDataException("The seeds keep a membership table of another version of OrleansCache.");

    private async Task<(RegisterSnapshot Snapshot, MembershipContent Content)> ReadContentAsync()
    {
        try
        {
            RegisterSnapshot snapshot = await register.ReadAsync();
            MembershipContent content = Decode(snapshot);
            Note(snapshot, content);
            Read?.Invoke(null);
            return (snapshot, content);
        }
        catch (Exception exception)
        {
            Read?.Invoke(exception);
            throw;
        }
    }

    private void Note(RegisterSnapshot snapshot, MembershipContent content)
    {
        // Two may have been read at once; whichever is noted last, the next reading comes within seconds.
        if (_newest is { } known && known.Version > snapshot.Version)
            return;
        _newestContent = content;
        _newest = snapshot;
    }
}
