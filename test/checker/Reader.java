import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads partition 0 of a topic from its beginning to its end with Kafka's own client, first only what is committed and
 * then all, and prints a line of JSON a record: a witness that shares neither code nor language with the readers that
 * it is held against. Keys, values and headers are in base64.
 *
 * java -cp 'kafka/*' Reader.java BROKERS TOPIC
 */
class Reader {
  public static void main(String[] arguments) {
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    for (String isolation : List.of("read_committed", "read_uncommitted")) {
      read(arguments[0], new TopicPartition(arguments[1], 0), isolation, out);
    }
    out.flush();
  }

  static void read(String brokers, TopicPartition partition, String isolation, PrintStream out) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", brokers);
    settings.put("isolation.level", isolation);
    settings.put("enable.auto.commit", "false");
    settings.put("allow.auto.create.topics", "false");
    settings.put("key.deserializer", ByteArrayDeserializer.class.getName());
    settings.put("value.deserializer", ByteArrayDeserializer.class.getName());
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
      consumer.assign(List.of(partition));
      consumer.seekToBeginning(List.of(partition));
      Map<TopicPartition, Long> ends = consumer.endOffsets(List.of(partition));
      // By position, not by records: control records and what compaction has removed are passed over.
      while (consumer.position(partition) < ends.get(partition)) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
          out.println(line(record, isolation));
        }
      }
    }
  }

  static String line(ConsumerRecord<byte[], byte[]> record, String isolation) {
    StringBuilder headers = new StringBuilder();
    for (Header header : record.headers()) {
      if (headers.length() > 0) headers.append(",");
      String name = text(header.key().getBytes(StandardCharsets.UTF_8));
      headers.append("[").append(name).append(",").append(text(header.value())).append("]");
    }
    return "{\"isolation\":\"" + isolation
        + "\",\"offset\":\"" + record.offset()
        + "\",\"timestamp\":" + record.timestamp()
        + ",\"key\":" + text(record.key())
        + ",\"value\":" + text(record.value())
        + ",\"headers\":[" + headers + "]}";
  }

  static String text(byte[] bytes) {
    return bytes == null ? "null" : "\"" + Base64.getEncoder().encodeToString(bytes) + "\"";
  }
}
