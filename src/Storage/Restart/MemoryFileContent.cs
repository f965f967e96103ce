namespace OrleansCache.Storage;

/// <summary>What a silo's memory file says of its former life, for the cluster to decide whether it still counts.</summary>
public sealed class MemoryFileContent
{
    public MemoryFileContent(int partitionCount)
    {
        Epochs = new long[partitionCount];
        KnownEpochs = new long[partitionCount];
    }

    /// <summary>What keys are hashed under; none if the file was not empty, but cannot be used.</summary>
    public HashSeed Seed { get; set; }

    /// <summary>When the items were last served; Unix seconds.</summary>
    public uint LastSeen { get; set; }

    /// <summary>How many silos the cluster had.</summary>
    public int SiloCount { get; set; }

    /// <summary>The term of the newest partition table that the silo knew.</summary>
    public long TableTerm { get; set; }

    /// <summary>By partition, the epoch in which it was served here last, with everything that was stored since; 0 = not held.</summary>
    public long[] Epochs { get; }

    /// <summary>By partition, the highest epoch in which the silo knew it to be held by anybody; 0 = not known.</summary>
    public long[] KnownEpochs { get; }

    internal unsafe void Read(MemoryFile file)
    {
        Seed = file.Seed;
        LastSeen = file.LastSeen;
        SiloCount = file.SiloCount;
        TableTerm = file.TableTerm;
        for (int i = 0; i < Epochs.Length; i++)
        {
            PartitionRecord* record = file.Records + i;
            const uint both = PartitionRecord.OpenFlag | PartitionRecord.ServedFlag;
            if ((record->Flags & both) == both)
                Epochs[i] = record->Epoch;
            KnownEpochs[i] = Math.Max(Epochs[i], record->KnownEpoch);
        }
    }
}
