using Npgsql;

namespace OrleansCache.Grains.Hosting;

/// <summary>Makes a PostgreSQL database ready to be the membership store: checks that it answers, and creates what is missing.</summary>
internal static class PostgresMembershipStore
{
    /// <summary>Orleans's name for the provider.</summary>
    public const string Invariant = "Npgsql";

    /// <summary>Any number will do, as long as every silo takes the same: silos that start together create the schema one after the other.</summary>
    private const long AdvisoryLock = 0x6F726C65616E7363;

    /// <summary>Tries until <paramref name="timeout"/> has passed. Throws <see cref="ClusterStartException"/> then.</summary>
    public static async Task PrepareAsync(string connectionString, TimeSpan timeout, TimeProvider time, CancellationToken cancellationToken)
    {
        long started = time.GetTimestamp();
        while (true)
        {
            try
            {
                await CreateSchemaAsync(connectionString, cancellationToken);
                return;
            }
            catch (ArgumentException exception)
            {
                throw new ClusterStartException($"The connection string of the membership store is not valid: {exception.Message}", exception);
            }
            catch (PostgresException exception) when (!exception.IsTransient)
            {
                throw new ClusterStartException($"The membership store refuses: {exception.MessageText} ({exception.SqlState})", exception);
            }
            catch (Exception exception) when (exception is NpgsqlException or TimeoutException or IOException)
            {
                if (time.GetElapsedTime(started) >= timeout)
                    throw new ClusterStartException($"The membership store could not be reached within {timeout.TotalSeconds:0} s: {exception.Message}",
                        exception);
            }

            await Task.Delay(TimeSpan.FromMilliseconds(250), time, cancellationToken);
        }
    }

    private static async Task CreateSchemaAsync(string connectionString, CancellationToken cancellationToken)
    {
        using Stream resource = typeof(PostgresMembershipStore).Assembly.GetManifestResourceStream("postgres-membership.sql")!;
        using StreamReader reader = new(resource);
        string script = await reader.ReadToEndAsync(cancellationToken);
        await using NpgsqlConnection connection = new(connectionString);
        await connection.OpenAsync(cancellationToken);
        await using NpgsqlTransaction transaction = await connection.BeginTransactionAsync(cancellationToken);
        await using (NpgsqlCommand locking = new("SELECT pg_advisory_xact_lock(@lock)", connection, transaction))
        {
            locking.Parameters.AddWithValue("lock", AdvisoryLock);
            await locking.ExecuteNonQueryAsync(cancellationToken);
        }

#pragma warning disable CA2100 // The script is our own resource, with no outside text in it.
        await using (NpgsqlCommand create = new(script, connection, transaction))
#pragma warning restore CA2100
            await create.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    }
}
